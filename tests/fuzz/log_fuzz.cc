// SPDX-License-Identifier: Apache-2.0
// A durable broker's log. As a file: it opens or is refused, and what was opened opens again with
// the same. As the entries of a group: what is read is written as what is read again.
#include "modules/log_format.h"
#include "modules/log_store.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/log_notes.h"

#include <cstdlib>

using namespace fanhorn;

namespace {

void require(bool is_true) {
    if (!is_true)
        std::abort();
}

bool open(const std::shared_ptr<FakeFolder>& folder, LogNotes& notes) {
    LogStore store(std::make_unique<FakeDisk>(folder), LogSync::Always, "boot");
    return store.open(notes).ok();
}

bool is_same(const LogNotes& one, const LogNotes& other) {
    return one.others == other.others && one.removals == other.removals &&
           one.messages.size() == other.messages.size();
}

void open_file(std::string bytes) {
    const auto folder = std::make_shared<FakeFolder>();
    folder->files["log.00000001"].bytes = std::move(bytes);
    LogNotes first, second;
    if (!open(folder, first))
        return;
    require(open(folder, second) && is_same(first, second));
}

// With sums that are right.
std::string segment_of(std::string_view entries) {
    SegmentHeader header;
    header.salt = std::string(kSaltBytes, 's');
    header.boot = boot_digest("boot");
    header.number = 1;
    header.epoch = 7;
    std::string bytes = segment_header(header);
    LogGroup group;
    group.synced = bytes.size();
    group.entries = entries;
    append_group(bytes, header.salt, group);
    return bytes;
}

std::string written(const LogNotes& notes) {
    std::string bytes;
    for (const LoggedMessage& each : notes.messages) {
        const Digest* content = each.content ? &*each.content : nullptr;
        const std::string key = each.draft.idempotency_key;
        const Message message(Draft(each.draft), {1, each.seq}, each.n, 1);
        log_message(bytes, message, each.stored_at, each.is_past, key, content);
    }
    return bytes;
}

void read(std::string_view entries) {
    LogNotes first, second;
    if (!read_entries(entries, first))
        return;
    const std::string bytes = written(first);
    require(read_entries(bytes, second) && written(second) == bytes);
    require(second.messages.size() == first.messages.size());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    read(bytes);
    open_file(segment_of(bytes));
    open_file(std::string(bytes));
    // A whole segment, of which a byte is another one.
    std::string damaged = segment_of(bytes.substr(0, size / 2));
    for (size_t i = size / 2; i + 1 < size; i += 2)
        damaged[(data[i] * 256u + data[i + 1]) % damaged.size()] ^= static_cast<char>(data[i + 1]);
    open_file(std::move(damaged));
    return 0;
}
