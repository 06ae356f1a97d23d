// SPDX-License-Identifier: Apache-2.0
#include "relay/backlog.h"

#include <algorithm>

namespace fanhorn {

namespace {

iovec piece(const Frame& frame, uint32_t end) {
    return {frame.segment->bytes.data() + frame.begin, end - frame.begin};
}

// It is not for everybody.
bool is_selective(const Frame& frame) {
    return frame.message && frame.message->exclude != kNoConnection;
}

} // namespace

void Backlog::restart(uint64_t first) {
    if (!frames_.empty())
        spare_ = std::move(frames_.back().segment);
    frames_.clear();
    if (spare_ && (spare_->is_shared() || spare_->bytes.capacity() > 2 * Segment::kFullBytes))
        spare_ = nullptr; // somebody still sends from it, or it is large
    first_ = first;
    bytes_ = selective_ = 0;
    turn = turn_begin = 0;
}

size_t Backlog::bytes_from(uint64_t ordinal) const {
    if (ordinal <= first_)
        return bytes_;
    size_t bytes = 0;
    for (uint64_t i = ordinal; i < next(); ++i)
        bytes += at(i).cost();
    return bytes;
}

uint64_t Backlog::first_after(uint64_t seq) const {
    uint64_t low = first_;
    uint64_t high = next();
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (at(middle).seq > seq)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

uint64_t Backlog::within(size_t bytes) const {
    uint64_t ordinal = next();
    size_t sum = 0;
    while (ordinal > first_ && sum + at(ordinal - 1).cost() <= bytes)
        sum += at(--ordinal).cost();
    return ordinal;
}

// What is kept while somebody does not read costs what it counts for: no slack from growing by
// doubling. The first segment, mostly gone with its turn, is not worth the care.
SegmentRef Backlog::next_segment() {
    if (frames_.empty()) {
        SegmentRef segment = spare_ ? std::move(spare_) : make_ref<Segment>();
        segment->bytes.clear();
        return segment;
    }
    auto segment = make_ref<Segment>();
    std::string& full = frames_.back().segment->bytes;
    if (full.capacity() - full.size() > kSlackBytes)
        full.shrink_to_fit();
    const size_t like_last = std::max<size_t>(frames_.back().size(), 1);
    const size_t count = (Segment::kFullBytes + like_last - 1) / like_last;
    segment->bytes.reserve(count * like_last + kSlackBytes / 4);
    return segment;
}

void Backlog::append(Encoding& encoding, const MessageRef& message, const Message* base,
                     bool keeps_message) {
    Frame frame;
    const bool is_full =
        frames_.empty() || frames_.back().segment->bytes.size() >= Segment::kFullBytes;
    frame.segment = is_full ? next_segment() : frames_.back().segment;
    frame.seq = message->position.seq;
    frame.begin = static_cast<uint32_t>(frame.segment->bytes.size());
    if (!base || !encoding.patch(frame.segment->bytes, *message, *base))
        encoding.message(frame.segment->bytes, *message);
    frame.end = static_cast<uint32_t>(frame.segment->bytes.size());
    if (keeps_message || encoding.makes_patches() || message->exclude != kNoConnection)
        frame.message = message;
    selective_ += is_selective(frame) ? 1 : 0;
    bytes_ += frame.cost();
    frames_.push_back(std::move(frame));
}

uint64_t Backlog::drop_front() {
    const Frame& frame = frames_.front();
    const uint64_t seq = frame.seq;
    bytes_ -= frame.cost();
    selective_ -= is_selective(frame) ? 1 : 0;
    frames_.pop_front();
    ++first_;
    return seq;
}

int Backlog::gather(uint64_t& ordinal, const ConnectionId& connection, iovec* pieces,
                    int count) const {
    int used = 0;
    while (used < count && ordinal < next()) {
        const Frame& frame = at(ordinal);
        if (selective_ != 0) { // frame by frame
            if (!frame.is_excluded(connection))
                pieces[used++] = piece(frame, frame.end);
            ++ordinal;
            continue;
        }
        // All that is left of the segment is this feed's, in order: one piece.
        pieces[used++] = piece(frame, static_cast<uint32_t>(frame.segment->bytes.size()));
        const Segment* segment = frame.segment.get();
        if (frames_.back().segment.get() == segment)
            ordinal = next();
        else
            while (at(ordinal).segment.get() == segment)
                ++ordinal;
    }
    return used;
}

uint64_t Backlog::count(uint64_t from, uint64_t to, const ConnectionId& connection) const {
    uint64_t count = to - from;
    for (uint64_t i = from; selective_ != 0 && i < to; ++i)
        if (at(i).is_excluded(connection))
            --count;
    return count;
}

Backlog::Written Backlog::advance(uint64_t ordinal, const ConnectionId& connection,
                                  size_t written) const {
    Written result;
    for (; ordinal < next(); ++ordinal) {
        const Frame& frame = at(ordinal);
        if (frame.is_excluded(connection)) {
            result.seq = frame.seq;
            continue;
        }
        if (written == 0)
            break;
        ++result.messages;
        if (written < frame.size()) {
            result.segment = frame.segment;
            result.partial_seq = frame.seq;
            result.begin = frame.begin + static_cast<uint32_t>(written);
            result.end = frame.end;
            ++ordinal;
            break;
        }
        written -= frame.size();
        result.seq = frame.seq;
    }
    result.ordinal = ordinal;
    return result;
}

} // namespace fanhorn
