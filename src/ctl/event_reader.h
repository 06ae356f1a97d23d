// SPDX-License-Identifier: Apache-2.0
// Takes Server-Sent Events off the wire (WHATWG HTML section 9.2.6). No sockets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::ctl {

struct Event {
    std::string type; // "" where the stream names none
    std::string data;
};

// The result does not depend on how the bytes are cut.
class EventReader {
  public:
    // The largest payload is 64 MiB, and JSON may write each of its bytes as six.
    static constexpr size_t kMaxBlockBytes = 512 << 20;
    static constexpr uint32_t kMaxRetryMs = 3'600'000;

    explicit EventReader(size_t max_block_bytes = kMaxBlockBytes) : max_bytes_(max_block_bytes) {}

    // Appends what is complete and has data. False when a block is larger than allowed: reset() or
    // give up.
    bool feed(std::string_view bytes, std::vector<Event>& events);
    // A new connection: what was incomplete is void, and so is its id.
    void reset();

    // Of the last complete block that had one; fit for a header field.
    const std::string& last_id() const { return last_id_; }
    // What the server asked for, at most kMaxRetryMs; 0 for nothing.
    uint32_t retry_ms() const { return retry_ms_; }

  private:
    void end_line(std::vector<Event>& events);
    void end_block(std::vector<Event>& events);

    size_t max_bytes_;
    std::string line_; // so far
    Event event_;      // so far
    // An id counts once its block is whole: or who comes back after half a block would miss it.
    std::string id_, last_id_;
    bool has_data_ = false;
    bool is_first_line_ = true; // of the connection: a byte order mark may stand before it
    bool is_after_cr_ = false;  // a LF that follows belongs to it
    uint32_t retry_ms_ = 0;
};

} // namespace fanhorn::ctl
