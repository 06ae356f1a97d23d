// SPDX-License-Identifier: Apache-2.0
// The log of a durable broker on the disk: groups of bytes, each there whole or not at all, in
// files ("segments") of which the oldest go when a checkpoint has made them void.
//
// A segment begins with a header that says how much of the one before it counts. So a file is
// never mended: after a failure, or a start, the log goes on in the next one. A group says how much
// of its file was on the disk when it was written: what is damaged above that at the very end is a
// torn tail, which is cut; all else that is damaged is refused. What counted there and may be gone
// is said with the seqs that it had.
#pragma once

#include "base/hash.h"
#include "modules/disk.h"
#include "modules/log_entry.h"
#include "relay/log_sync.h"

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

class LogStore {
  public:
    struct Opened {
        bool was_closed = false;       // by close(), or it is new
        uint64_t head = 0;             // no seq above was ever given
        uint64_t cut_bytes = 0;        // of a torn tail
        std::vector<LostStretch> lost; // of groups that counted; rising
    };

    // `boot` names this run of the system, "" where that is unknown: what was written and not
    // synced in another one may be lost.
    LogStore(std::unique_ptr<Disk> disk, LogSync sync, std::string boot);
    ~LogStore();

    // Gives all entries to the reader, then begins a segment. Once, before all else.
    Result<Opened> open(LogReader& reader);
    // Drawn when the log was made, and the same as long as it is there.
    uint64_t epoch() const { return epoch_; }
    SipKey key() const { return key_; }

    // Adds a group of entries whose seqs, and all that were given meanwhile, are not above `head`.
    // After an error it does not count; the next call begins another segment. `is_lazy`: it counts
    // only when a later group does.
    Result<void> commit(std::string_view entries, uint64_t head, bool is_lazy = false);
    // Seqs up to here are safe to give: the next start begins above.
    uint64_t ceiling() const { return ceiling_; }
    // Whether something that counts is not on the disk yet.
    bool is_dirty() const { return !segments_.empty() && last().synced < last().end; }
    // All that counts is on the disk, or it is in doubt.
    Result<void> sync();
    // What counts may be lost because the disk failed: a checkpoint is needed before anything else
    // may count.
    bool is_in_doubt() const { return has_doubt_from(0); }

    // What is committed in between has to say all that is to be kept; then the segments before
    // the beginning go.
    Result<void> begin_checkpoint();
    Result<void> end_checkpoint();
    // Gives back what was committed lazily since the beginning, but for what stands before a group
    // that was not.
    void give_up_checkpoint();

    // The last group: the next start goes on behind `head` and has lost nothing.
    Result<void> close(uint64_t head);
    uint64_t bytes() const; // of all segments

    // From where on another segment begins; 64 MB if it is not called.
    void set_segment_bytes(uint64_t bytes) { segment_bytes_ = bytes; }

  private:
    enum class Kind : uint32_t { Entries, Closed, Checkpoint };
    struct Segment {
        uint64_t number = 0;
        uint64_t end = 0;         // of what counts in it
        uint64_t synced = 0;      // up to here it is on the disk
        uint64_t kept = 0;        // the end of the last group that was not lazy
        bool is_doubtful = false; // what counts will never be known to be on the disk
    };
    class Replay;

    static std::string name_of(uint64_t number);
    Segment& last() { return segments_.back(); }
    const Segment& last() const { return segments_.back(); }
    bool has_doubt_from(uint64_t number) const;
    Result<std::vector<uint64_t>> find_segments();
    Result<void> next_segment();
    Result<void> sync_segment();
    Result<void> append(Kind kind, uint64_t value, std::string_view entries, uint64_t ceiling,
                        bool must_sync);
    void doubt();

    const std::unique_ptr<Disk> disk_;
    const LogSync sync_;
    const std::string boot_;
    uint64_t segment_bytes_ = 64 << 20;
    uint64_t epoch_ = 0;
    SipKey key_;
    uint64_t ceiling_ = 0;
    uint64_t head_ = 0;            // of what counts
    std::deque<Segment> segments_; // the last one is written to
    std::unique_ptr<DiskFile> file_;
    bool is_broken_ = false;  // file_: nothing more goes into it
    std::string salt_;        // of the last segment
    uint64_t checkpoint_ = 0; // the segment with which the one under way began, 0: none is
    std::string buffer_;
};

} // namespace fanhorn
