// SPDX-License-Identifier: Apache-2.0
// For a slow reader on its way through history: which messages are the newest of their key.
#pragma once

#include "relay/broker.h"

#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace fanhorn {

// History is looked through ahead of the reader, a stretch at a time, and then read again and sent
// at its pace. The key is the value of a tag that the channel's section names (`conflate`); what
// has no such tag is never superseded. One reader's; on its worker. About 40 bytes for each key.
class Conflation {
  public:
    // How far ahead; a longer history is a stretch of its own behind it, with the newest of each
    // key again.
    static constexpr size_t kMaxMessages = 4096;

    bool is_scanning() const { return state_ == State::Scanning; }
    // Whether, before the reader reads on behind `after`, what follows has to be looked at.
    bool wants_scan(uint64_t after) const {
        return is_scanning() || (state_ == State::Used && after >= until_);
    }
    // What to read for that; `rest` is what the reader would read next.
    const Stretch& scan(const Stretch& rest);
    // Each message of such a page that is for this reader, then the page itself.
    void note(const Message& message, std::string_view tag);
    void end_page(Page&& page);

    // A page is being sent.
    void use() { state_ = State::Used; }
    bool is_superseded(const Message& message, std::string_view tag) const;

  private:
    enum class State : uint8_t {
        Scanning, // looks ahead
        Ready,    // and nothing has been read by it yet
        Used,
    };
    State state_ = State::Used;
    uint64_t until_ = 0; // what has been looked at
    size_t left_ = 0;    // messages, of this stretch
    Stretch stretch_;    // the next to look at
    // By keyed hashes of channel and value: seqs.
    std::unordered_map<uint64_t, uint64_t> newest_;
};

} // namespace fanhorn
