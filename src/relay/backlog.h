// SPDX-License-Identifier: Apache-2.0
// The newest messages of a feed in wire form: contiguous segments and an index of boundaries.
#pragma once

#include "relay/encoding.h"
#include "relay/segment.h"

#include <sys/uio.h>

#include <deque>

namespace fanhorn {

struct Frame {
    uint64_t seq = 0;
    SegmentRef segment;
    uint32_t begin = 0, end = 0; // within the segment
    // Set when it excludes a connection, where there may be patches, and where it is asked for.
    MessageRef message;
    bool is_excluded(const ConnectionId& connection) const {
        return message && message->is_excluded(connection);
    }
    size_t size() const { return end - begin; }
    // What it counts for under a limit: an entry here is more than a small message.
    size_t cost() const { return size() + sizeof(Frame); }
};

// Frames are numbered by ordinals that never repeat in a feed: [first(), next()).
class Backlog {
  public:
    explicit Backlog(uint64_t first) : first_(first) {}
    // Is as a new one, but for the memory that it keeps: a few KiB.
    void restart(uint64_t first);
    uint64_t first() const { return first_; }
    uint64_t next() const { return first_ + frames_.size(); }
    bool empty() const { return frames_.empty(); }
    // The costs of all frames.
    size_t bytes() const { return bytes_; }
    const Frame& at(uint64_t ordinal) const {
        CHECK(ordinal >= first_ && ordinal < next());
        return frames_[ordinal - first_];
    }
    // Whether a frame is not for everybody.
    bool has_selective() const { return selective_ != 0; }
    // Costs from that frame to the end.
    size_t bytes_from(uint64_t ordinal) const;
    // The first frame with a seq above `seq`, or next().
    uint64_t first_after(uint64_t seq) const;
    // The oldest frame from which costs of at most `bytes` follow.
    uint64_t within(size_t bytes) const;

    // Encoding::message, or a patch of `base`, the state before, where the encoding has one.
    void append(Encoding& encoding, const MessageRef& message, const Message* base = nullptr,
                bool keeps_message = false);
    // Returns the seq of what was dropped.
    uint64_t drop_front();

    uint64_t turn = 0;       // its owner's, at the last append()
    uint64_t turn_begin = 0; // the first frame of that turn

    // Fills `pieces` with what follows `ordinal` for that connection, up to `count` pieces or the
    // end; moves `ordinal` behind what was taken. Frames that exclude the connection are skipped.
    int gather(uint64_t& ordinal, const ConnectionId& connection, iovec* pieces, int count) const;

    // How many frames of [from, to) are for that connection.
    uint64_t count(uint64_t from, uint64_t to, const ConnectionId& connection) const;

    // Where a write of `written` bytes, gathered from `ordinal`, ended.
    struct Written {
        uint64_t ordinal = 0;        // the next frame that has not begun
        uint64_t messages = 0;       // frames wholly or partly written
        uint64_t seq = 0;            // of the last frame wholly written; 0 for none
        uint64_t partial_seq = 0;    // of the one partly written
        SegmentRef segment;          // of the frame that was partly written, or null
        uint32_t begin = 0, end = 0; // its unsent rest
    };
    Written advance(uint64_t ordinal, const ConnectionId& connection, size_t written) const;

  private:
    static constexpr size_t kSlackBytes = 256; // of a segment that takes no more

    SegmentRef next_segment();

    std::deque<Frame> frames_;
    SegmentRef spare_; // for the next first frame
    uint64_t first_;
    size_t bytes_ = 0;
    size_t selective_ = 0; // frames that exclude somebody
};

} // namespace fanhorn
