// SPDX-License-Identifier: Apache-2.0
#include "modules/log_store.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"
#include "modules/log_format.h"
#include "relay/position.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace fanhorn {

namespace {

// Seqs that are given without asking the disk again; so many are skipped after a crash.
constexpr uint64_t kAhead = 1 << 24;
constexpr std::string_view kPrefix = "log.";

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
        if (auto ended = end_segment(UINT64_MAX, UINT64_MAX); !ended)
            return Error{ended.error()};
        const uint64_t first = store_.segments_.front().number;
        if (first != 1 && checkpoint_ < first)
            return Error{name_of(first - 1) + " is missing"};
        opened_.may_have_lost |= doubtful_ && checkpoint_ <= doubtful_;
        opened_.may_have_lost |=
            !opened_.was_closed && header_.is_lazy &&
            (store_.boot_.empty() || header_.boot != boot_digest(store_.boot_));
        if (!opened_.was_closed)
            opened_.head = store_.ceiling_;
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
            if (auto ended = end_segment(header->previous_synced, header->previous_end); !ended)
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
        opened_.cut_bytes = 0;
        store_.segments_.push_back({number, bytes_.size()});
    }

    // The groups up to `end`; from `synced` on what is damaged may be cut. Of the last segment
    // nobody knows either.
    Result<void> end_segment(uint64_t synced, uint64_t end) {
        const bool is_last = end == UINT64_MAX;
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
        const bool is_whole = is_last ? at == all.size() : at == end;
        if (!is_whole && (is_last ? is_synced_behind(at) : at < synced))
            return Error{name_of(number_) + ": damaged at byte " + std::to_string(at) +
                         "; what follows is whole, so this is no torn end. Restore the file, or "
                         "move the folder away and begin anew"};
        if (is_last && !is_whole)
            opened_.cut_bytes = all.size() - at;
        if (!is_last && synced < end)
            doubtful_ = number_;
        store_.end_ = store_.synced_ = at;
        return {};
    }

    Result<void> take_group(const LogGroup& group) {
        opened_.was_closed = group.kind == static_cast<uint32_t>(Kind::Closed);
        if (opened_.was_closed)
            opened_.head = group.value;
        if (group.kind == static_cast<uint32_t>(Kind::Checkpoint))
            checkpoint_ = group.value;
        store_.ceiling_ = std::max(store_.ceiling_, group.ceiling);
        if (!read_entries(group.entries, reader_))
            return Error{"it holds what cannot be"};
        return {};
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
    uint64_t checkpoint_ = 0;
    uint64_t doubtful_ = 0;
};

Result<LogStore::Opened> LogStore::open(LogReader& reader) {
    if (auto held = disk_->open(); !held)
        return Error{held.error()};
    const auto numbers = find_segments();
    if (!numbers)
        return Error{numbers.error()};
    auto opened = Replay(*this, reader).run(*numbers);
    if (!opened)
        return opened;
    if (opened->was_closed)
        ceiling_ = opened->head;
    else if (auto synced = disk_->sync(name_of(segments_.back().number)); !synced)
        return Error{synced.error()};
    if (auto begun = next_segment(); !begun)
        return Error{begun.error()};
    return opened;
}

Result<void> LogStore::next_segment() {
    const bool is_believed = segments_.empty() || doubtful_ != segments_.back().number;
    if (file_ && is_dirty() && is_believed) {
        if (file_->sync())
            synced_ = end_;
        else
            doubt();
    }
    SegmentHeader header;
    header.number = segments_.empty() ? 1 : segments_.back().number + 1;
    header.previous_end = end_;
    header.previous_synced = synced_;
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
    end_ = synced_ = kSegmentHeaderBytes;
    segments_.push_back({header.number, end_});
    return {};
}

// A sync failed: of what was written since the last one nothing is known any more.
void LogStore::doubt() {
    is_broken_ = true;
    if (is_dirty())
        doubtful_ = segments_.back().number;
}

Result<void> LogStore::append(Kind kind, uint64_t value, std::string_view entries, uint64_t ceiling,
                              bool must_sync) {
    if (!file_ || is_broken_ || end_ >= segment_bytes_)
        if (auto begun = next_segment(); !begun)
            return begun;
    buffer_.clear();
    append_group(buffer_, salt_,
                 {.kind = static_cast<uint32_t>(kind),
                  .value = value,
                  .synced = synced_,
                  .ceiling = ceiling,
                  .entries = entries});
    if (auto written = file_->append(buffer_); !written) {
        is_broken_ = true;
        file_->cut(end_);
        return written;
    }
    if (must_sync) {
        if (auto synced = file_->sync(); !synced) {
            doubt();
            return synced;
        }
    }
    end_ += buffer_.size();
    if (must_sync)
        synced_ = end_;
    segments_.back().bytes = end_;
    ceiling_ = ceiling;
    return {};
}

Result<void> LogStore::commit(std::string_view entries, uint64_t head, bool is_lazy) {
    const bool is_above = head > ceiling_;
    return append(Kind::Entries, 0, entries, is_above ? head + kAhead : ceiling_,
                  is_above || (sync_ == LogSync::Always && !is_lazy));
}

Result<void> LogStore::sync() {
    if (!file_ || is_broken_ || !is_dirty())
        return {};
    auto synced = file_->sync();
    if (synced)
        synced_ = end_;
    else
        doubt();
    return synced;
}

Result<void> LogStore::begin_checkpoint() {
    if (auto begun = next_segment(); !begun)
        return begun;
    checkpoint_ = segments_.back().number;
    return {};
}

Result<void> LogStore::end_checkpoint() {
    if (doubtful_ >= checkpoint_)
        return Error{"a part of it may be lost"};
    if (auto ended = append(Kind::Checkpoint, checkpoint_, {}, ceiling_, true); !ended)
        return ended;
    if (doubtful_ >= checkpoint_)
        return Error{"a part of it may be lost"};
    doubtful_ = 0;
    while (segments_.front().number < checkpoint_) {
        if (auto removed = disk_->remove(name_of(segments_.front().number)); !removed)
            return removed;
        segments_.pop_front();
    }
    return {};
}

Result<void> LogStore::close(uint64_t head) {
    return append(Kind::Closed, head, {}, std::max(ceiling_, head), true);
}

uint64_t LogStore::bytes() const {
    uint64_t bytes = 0;
    for (const Segment& segment : segments_)
        bytes += segment.bytes;
    return bytes;
}

} // namespace fanhorn
