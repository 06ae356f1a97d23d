// SPDX-License-Identifier: Apache-2.0
// What a subscriber still has to send that is in no feed: the rest of a frame, control frames,
// replayed history. A pointer, and null, for all who keep up.
#pragma once

#include "relay/segment.h"
#include "relay/sink.h"

#include <memory>
#include <string>

namespace fanhorn {

class Outbox {
  public:
    bool empty() const { return !waiting_; }
    // Bytes of our own that wait.
    size_t own_bytes() const { return waiting_ ? waiting_->own.size() - waiting_->own_sent : 0; }

    // Appends what waits, in the order in which it would go; and the seq of the rest, 0 for none.
    void append_to(std::string& out) const;
    uint64_t rest_seq() const { return waiting_ && waiting_->rest.size() ? waiting_->rest.seq : 0; }

    // And those of the rest.
    size_t bytes() const { return waiting_ ? own_bytes() + waiting_->rest.size() : 0; }

    // The unsent rest of a shared frame, which has that seq; only into an empty box.
    struct Rest {
        SegmentRef segment;
        uint32_t begin = 0, end = 0;
        uint64_t seq = 0;
        size_t size() const { return end - begin; }
    };
    void set_rest(Rest rest);
    // A buffer behind everything else; append to it.
    std::string& own();

    struct Written {
        bool is_broken = false;
        uint64_t seq = 0; // of the rest, when the last of it went; else 0
    };
    // Writes as much as the sink takes.
    Written write(Sink& sink);

  private:
    struct Waiting {
        Rest rest;
        std::string own;
        size_t own_sent = 0;

        bool empty() const { return rest.size() == 0 && own.size() == own_sent; }
        void advance(size_t written);
    };
    std::unique_ptr<Waiting> waiting_;
};

} // namespace fanhorn
