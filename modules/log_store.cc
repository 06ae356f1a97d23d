// SPDX-License-Identifier: Apache-2.0
#include "modules/log_store.h"

#include "base/digest.h"
#include "base/heap.h"
#include "base/random.h"
#include "base/text.h"
#include "modules/log_format.h"
#include "relay/position.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

namespace fanhorn {

namespace {

// Seqs that are given without asking the disk again; so many are skipped after a crash.
constexpr uint64_t kAhead = 1 << 24;
// What the messages of a log take in memory is about so many times what they take in the log.
constexpr uint64_t kHeapForByte = 4;
constexpr std::string_view kPrefix = "log.";
constexpr std::string_view kInDoubt = "what was written before may be lost";

} // namespace

LogStore::LogStore(std::unique_ptr<Disk> disk, LogSync sync, std::string boot)
    : disk_(std::move(disk)), sync_(sync), boot_(std::move(boot)) {}

LogStore::~LogStore() = default;

std::string LogStore::name_of(uint64_t number) {
    char name[32];
    std::snprintf(name, sizeof name, "log.%08" PRIu64, number);
    return name;
}

Result<std::vector<uint64_t>> LogStore::find_segments() {
    const auto names = disk_->names();
    if (!names)
        return Error{names.error()};
    std::vector<uint64_t> numbers;
    for (const std::string& name : *names) {
        const auto number = name.starts_with(kPrefix)
                                ? parse_u64(std::string_view(name).substr(kPrefix.size()))
                                : std::nullopt;
        if (number && name == name_of(*number))
            numbers.push_back(*number);
    }
    std::sort(numbers.begin(), numbers.end());
    for (size_t i = 1; i < numbers.size(); ++i)
        if (numbers[i] != numbers[i - 1] + 1)
            return Error{name_of(numbers[i] - 1) + " is missing"};
    return numbers;
}

// Goes through the segments in their order.
class LogStore::Replay {
  public:
    Replay(LogStore& store, LogReader& reader) : store_(store), reader_(reader) {}

    Result<Opened> run(const std::vector<uint64_t>& numbers) {
        if (numbers.empty())
            return make_new();
        for (const uint64_t number : numbers)
            if (auto taken = take(number, number == numbers.back()); !taken)
                return Error{taken.error()};
        if (store_.segments_.empty()) // there was but a torn header
            return make_new();
        if (auto ended = end_segment(nullptr); !ended)
            return Error{ended.error()};
        const uint64_t first = store_.segments_.front().number;
        if (first != 1 && checkpoint_ < first)
            return Error{name_of(first - 1) + " is missing"};
        if (!opened_.was_closed) {
            opened_.head = store_.ceiling_;
            if (opened_.cut_bytes || store_.boot_.empty() ||
                header_.boot != boot_digest(store_.boot_))
                lose(opened_.head);
        }
        return opened_;
    }

  private:
    Result<Opened> make_new() {
        store_.epoch_ = random_epoch();
        random_bytes(&store_.key_, sizeof store_.key_);
        opened_.was_closed = true;
        return opened_;
    }

    // The segment before it is read only now that its end is known.
    Result<void> take(uint64_t number, bool is_last) {
        auto bytes = store_.disk_->read(name_of(number));
        if (!bytes)
            return Error{bytes.error()};
        const auto header = read_segment_header(*bytes);
        if (!header && is_last && bytes->size() <= kSegmentHeaderBytes)
            return store_.disk_->remove(name_of(number)); // nothing was ever in it
        if (!header)
            return Error{name_of(number) + ": its header is damaged, or of another version"};
        if (header->number != number || (number_ && header->epoch != header_.epoch))
            return Error{name_of(number) + ": it is not of this log"};
        if (number_)
            if (auto ended = end_segment(&*header); !ended)
                return ended;
        begin_segment(number, *header, std::move(*bytes));
        return {};
    }

    void begin_segment(uint64_t number, const SegmentHeader& header, std::string bytes) {
        number_ = number;
        header_ = header;
        bytes_ = std::move(bytes);
        store_.epoch_ = header.epoch;
        store_.key_ = header.key;
        store_.ceiling_ = std::max(store_.ceiling_, header.ceiling);
        store_.segments_.push_back({.number = number});
    }

    // The groups up to where `next`, the header behind them, says that they end, and where it does
    // not know whether they are on the disk up to where they are damaged. Of the last segment,
    // null, nobody knows either.
    Result<void> end_segment(const SegmentHeader* next) {
        const uint64_t end = next ? next->previous_end : bytes_.size();
        const std::string_view all = std::string_view(bytes_).substr(0, end);
        size_t at = kSegmentHeaderBytes;
        while (at < all.size()) {
            const auto group = read_group(all, at, header_.salt);
            if (!group)
                break;
            if (auto taken = take_group(*group); !taken)
                return Error{name_of(number_) + ": " + taken.error() + " at byte " +
                             std::to_string(at)};
            at = group->end;
        }
        if (at != end && (next ? at < next->previous_synced : is_synced_behind(at)))
            return Error{name_of(number_) + ": damaged at byte " + std::to_string(at) +
                         "; what follows is whole, so this is no torn end. Restore the file, or "
                         "move the folder away and begin anew"};
        Segment& segment = store_.last();
        segment.end = segment.synced = at;
        if (!next) {
            opened_.cut_bytes = end - at;
            return {};
        }
        segment.is_doubtful = next->previous_synced < end;
        if (at != end || next->boot != header_.boot)
            lose(next->head);
        return {};
    }

    Result<void> take_group(const LogGroup& group) {
        const auto kind = static_cast<Kind>(group.kind);
        opened_.was_closed = kind == Kind::Closed;
        if (opened_.was_closed) {
            opened_.head = group.value;
            opened_.lost.clear(); // who closed it knew
        }
        if (kind == Kind::Checkpoint)
            begin_at_checkpoint(group.value);
        else
            head_ = std::max(head_, group.value);
        store_.ceiling_ = std::max(store_.ceiling_, group.ceiling);
        if (!read_entries(group.entries, reader_))
            return Error{"it holds what cannot be"};
        return {};
    }

    // It is whole: what was lost before has been written again.
    void begin_at_checkpoint(uint64_t number) {
        checkpoint_ = number;
        opened_.lost.clear();
        for (Segment& segment : store_.segments_)
            segment.is_doubtful = false;
    }

    // What the segment had behind this place may be gone. With `sync = always` that was never
    // acknowledged.
    void lose(uint64_t upto) {
        if (header_.is_lazy && !opened_.was_closed && head_ < upto)
            opened_.lost.push_back({head_, upto});
    }

    // Whether a group behind `at` says that what is there was on the disk.
    bool is_synced_behind(size_t at) const {
        for (size_t next = at; (next = bytes_.find(header_.salt, next)) != bytes_.npos; ++next)
            if (const auto group = read_group_header(bytes_, next, header_.salt))
                if (group->synced > at)
                    return true;
        return false;
    }

    LogStore& store_;
    LogReader& reader_;
    Opened opened_;
    uint64_t number_ = 0;
    SegmentHeader header_;
    std::string bytes_;
    uint64_t head_ = 0; // of what was read
    uint64_t checkpoint_ = 0;
};

Result<LogStore::Opened> LogStore::open(LogReader& reader) {
    if (auto held = disk_->open(); !held)
        return Error{held.error()};
    const auto numbers = find_segments();
    if (!numbers)
        return Error{numbers.error()};
    const HeapGrowth heap(disk_->bytes() * kHeapForByte);
    auto opened = Replay(*this, reader).run(*numbers);
    if (!opened)
        return opened;
    if (opened->was_closed)
        ceiling_ = opened->head;
    else if (auto synced = disk_->sync(name_of(last().number)); !synced)
        return Error{synced.error()};
    head_ = opened->head;
    if (auto begun = next_segment(); !begun)
        return Error{begun.error()};
    return opened;
}

bool LogStore::has_doubt_from(uint64_t number) const {
    return std::any_of(segments_.begin(), segments_.end(), [&](const Segment& segment) {
        return segment.is_doubtful && segment.number >= number;
    });
}

Result<void> LogStore::next_segment() {
    SegmentHeader header;
    header.number = 1;
    if (!segments_.empty()) {
        if (!last().is_doubtful)
            if (auto synced = sync_segment(); !synced)
                return synced;
        header.number = last().number + 1;
        header.previous_end = last().end;
        header.previous_synced = last().synced;
        header.head = head_;
    }
    header.epoch = epoch_;
    header.key = key_;
    header.ceiling = ceiling_;
    header.is_lazy = sync_ == LogSync::EverySecond;
    header.boot = boot_digest(boot_);
    header.salt.resize(kSaltBytes);
    random_bytes(header.salt.data(), kSaltBytes);
    const std::string name = name_of(header.number);
    is_broken_ = true; // what is left of one that fails says that this one ends here
    auto file = disk_->create(name);
    if (!file)
        return Error{file.error()};
    auto written = (*file)->append(segment_header(header));
    if (written)
        written = (*file)->sync();
    if (!written) {
        (void)disk_->remove(name).ok(); // it is made anew, whatever is left of it
        return written;
    }
    file_ = std::move(*file);
    is_broken_ = false;
    salt_ = header.salt;
    segments_.push_back(
        {.number = header.number, .end = kSegmentHeaderBytes, .synced = kSegmentHeaderBytes});
    return {};
}

// What counts in the last one is on the disk. A sync that has failed is not tried again.
Result<void> LogStore::sync_segment() {
    if (!is_dirty())
        return {};
    if (last().is_doubtful)
        return Error{std::string(kInDoubt)};
    auto synced = file_->sync();
    if (synced)
        last().synced = last().end;
    else
        doubt();
    return synced;
}

// A sync failed: of what was written since the last one nothing is known any more.
void LogStore::doubt() {
    is_broken_ = true;
    last().is_doubtful = is_dirty();
}

Result<void> LogStore::append(Kind kind, uint64_t value, std::string_view entries, uint64_t ceiling,
                              bool must_sync) {
    if (!file_ || is_broken_ || last().end >= segment_bytes_)
        if (auto begun = next_segment(); !begun)
            return begun;
    Segment& segment = last();
    buffer_.clear();
    append_group(buffer_, salt_,
                 {.kind = static_cast<uint32_t>(kind),
                  .value = value,
                  .synced = segment.synced,
                  .ceiling = ceiling,
                  .entries = entries});
    if (auto written = file_->append(buffer_); !written) {
        is_broken_ = true;
        file_->cut(segment.end);
        return written;
    }
    if (must_sync) {
        if (auto synced = file_->sync(); !synced) {
            doubt();
            return synced;
        }
    }
    segment.end += buffer_.size();
    if (must_sync)
        segment.synced = segment.end;
    ceiling_ = ceiling;
    return {};
}

Result<void> LogStore::commit(std::string_view entries, uint64_t head, bool is_lazy) {
    const bool is_above = head > ceiling_;
    auto appended = append(Kind::Entries, head, entries, is_above ? head + kAhead : ceiling_,
                           is_above || (sync_ == LogSync::Always && !is_lazy));
    if (appended && !is_lazy)
        last().kept = last().end;
    if (appended)
        head_ = std::max(head_, head);
    return appended;
}

Result<void> LogStore::sync() {
    auto synced = sync_segment();
    if (synced && is_in_doubt())
        return Error{std::string(kInDoubt)};
    return synced;
}

Result<void> LogStore::begin_checkpoint() {
    (void)sync_segment().ok(); // what that may lose is said again
    if (auto begun = next_segment(); !begun)
        return begun;
    checkpoint_ = last().number;
    return {};
}

Result<void> LogStore::end_checkpoint() {
    if (has_doubt_from(checkpoint_))
        return Error{std::string(kInDoubt)};
    if (auto ended = append(Kind::Checkpoint, checkpoint_, {}, ceiling_, true); !ended)
        return ended;
    for (Segment& segment : segments_)
        segment.is_doubtful = false;
    const uint64_t first = std::exchange(checkpoint_, 0);
    while (segments_.front().number < first) {
        if (auto removed = disk_->remove(name_of(segments_.front().number)); !removed)
            return removed;
        segments_.pop_front();
    }
    return {};
}

void LogStore::give_up_checkpoint() {
    if (checkpoint_ == 0)
        return;
    is_broken_ = true;
    while (last().number >= checkpoint_ && last().kept == 0) {
        file_ = nullptr; // or its room stays taken
        if (!disk_->remove(name_of(last().number)))
            break;
        segments_.pop_back();
    }
    if (file_ && last().kept > 0) {
        file_->cut(last().kept);
        last().end = last().kept;
        last().synced = std::min(last().synced, last().end);
        last().is_doubtful &= is_dirty();
    }
    checkpoint_ = 0;
}

Result<void> LogStore::close(uint64_t head) {
    return append(Kind::Closed, head, {}, std::max(ceiling_, head), true);
}

uint64_t LogStore::bytes() const {
    uint64_t bytes = 0;
    for (const Segment& segment : segments_)
        bytes += segment.end;
    return bytes;
}

} // namespace fanhorn
