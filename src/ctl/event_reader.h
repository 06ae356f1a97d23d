// SPDX-License-Identifier: Apache-2.0
// Takes events off a text/event-stream (WHATWG HTML section 9.2.6).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace fanhorn::ctl {

// Feed it what comes; the result does not depend on how the bytes are cut.
class EventReader {
  public:
    static constexpr size_t kMaxEventBytes = 64 << 20;
    // Returning false ends the feeding.
    using OnEvent = std::function<bool(const std::string& event, const std::string& data)>;

    // Calls on_event for each whole event with data. False when that had enough, or an event is
    // larger than kMaxEventBytes.
    bool feed(std::string_view bytes, const OnEvent& on_event);
    // A new connection: an event that was incomplete is void, and so is its id.
    void reset();

    bool is_too_large() const { return line_.size() + data_.size() > kMaxEventBytes; }
    // The id of the last whole event (or id-only block), "" before the first.
    const std::string& last_id() const { return last_id_; }
    // The last `retry`, in milliseconds.
    std::optional<uint64_t> retry_ms() const { return retry_ms_; }

  private:
    bool at_line(const OnEvent& on_event);
    bool dispatch(const OnEvent& on_event);
    void take_field();

    std::string line_, event_, data_, id_, last_id_;
    std::optional<uint64_t> retry_ms_;
    bool was_cr_ = false; // a LF that follows belongs to it
    bool is_first_line_ = true;
};

} // namespace fanhorn::ctl
