// SPDX-License-Identifier: Apache-2.0
#include "modules/log_store.h"

#include "tests/unit/fake_disk.h"
#include "tests/unit/log_notes.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

using Folder = std::shared_ptr<FakeFolder>;
using Losses = std::vector<LostStretch>;

// A store whose groups are removals of channels "1", "2", …: what comes back is their seqs.
class Bench {
  public:
    explicit Bench(Folder on, LogSync sync = LogSync::Always, std::string boot = "boot")
        : folder(std::move(on)), sync_(sync), boot_(std::move(boot)) {
        restart();
    }
    void restart() {
        store = nullptr;
        notes = LogNotes();
        store = std::make_unique<LogStore>(std::make_unique<FakeDisk>(folder), sync_, boot_);
        store->set_segment_bytes(600);
        opened = store->open(notes);
    }
    void lose_power(size_t kept = 0) {
        store = nullptr;
        folder->lose_power(kept);
        restart();
    }
    bool write(uint64_t seq, bool is_lazy = false) {
        std::string entries;
        log_removal(entries, "c", seq);
        return store->commit(entries, seq, is_lazy).ok();
    }
    void write_all(uint64_t from, uint64_t to) {
        for (uint64_t seq = from; seq <= to; ++seq)
            assert_true(write(seq));
    }
    std::string& last_file() { return folder->files.rbegin()->second.bytes; }
    void set_boot(std::string boot) { boot_ = std::move(boot); }

    const Folder folder;
    LogNotes notes;
    std::unique_ptr<LogStore> store;
    Result<LogStore::Opened> opened = Error{"not yet"};

  private:
    const LogSync sync_;
    std::string boot_;
};

Folder make_folder() {
    return std::make_shared<FakeFolder>();
}

std::vector<uint64_t> range(uint64_t from, uint64_t to) {
    std::vector<uint64_t> all;
    for (uint64_t seq = from; seq <= to; ++seq)
        all.push_back(seq);
    return all;
}

// Whether these are the seqs from 1 on, up to some.
bool is_prefix(const std::vector<uint64_t>& seqs) {
    return seqs == range(1, seqs.size());
}

bool is_among(const Losses& losses, uint64_t seq) {
    return std::any_of(losses.begin(), losses.end(), [&](const LostStretch& lost) {
        return lost.after < seq && seq <= lost.upto;
    });
}

} // namespace

static void test_what_was_written_comes_back(void**) {
    Bench bench(make_folder());
    assert_true(bench.opened && bench.opened->was_closed);
    const uint64_t epoch = bench.store->epoch();
    assert_true(epoch != 0);
    bench.write_all(1, 50);
    assert_true(bench.folder->files.size() > 3); // several segments
    assert_true(bench.store->close(70).ok());
    bench.restart();
    assert_true(bench.notes.removals == range(1, 50));
    assert_int_equal(bench.store->epoch(), epoch);
    assert_true(bench.opened->was_closed && bench.opened->lost.empty());
    assert_int_equal(bench.opened->head, 70);
    bench.restart(); // nothing was given since: it is as if closed
    assert_int_equal(bench.opened->head, 70);
}

static void test_no_seq_is_given_twice(void**) {
    Bench bench(make_folder());
    uint64_t given = 0;
    for (int round = 0; round < 5; ++round) {
        given += 3;
        assert_true(bench.write(given));
        const uint64_t safe = bench.store->ceiling();
        assert_true(safe > given);
        bench.lose_power();
        assert_true(bench.opened->head >= safe);
        given = bench.opened->head;
    }
}

// Whatever is missing at the end, what is left are the groups from the first on, each whole.
static void test_a_torn_tail_is_cut(void**) {
    Bench bench(make_folder());
    bench.write_all(1, 20);
    const FakeFolder whole = *bench.folder;
    bench.store = nullptr;
    const size_t size = bench.last_file().size();
    size_t most = 0;
    for (size_t length = 0; length <= size; ++length) {
        *bench.folder = whole;
        bench.folder->is_held = false;
        bench.last_file().resize(length);
        bench.restart();
        assert_true(bench.opened.ok());
        assert_true(is_prefix(bench.notes.removals));
        assert_true(bench.notes.removals.size() >= most);
        most = bench.notes.removals.size();
        bench.write_all(most + 1, most + 3);
        bench.lose_power();
        assert_true(bench.notes.removals == range(1, most + 3));
    }
    assert_int_equal(most, 20);
}

// Of the last group nobody can say whether it was ever whole; before it, damage is refused.
static void test_damage_is_refused(void**) {
    Bench bench(make_folder());
    bench.write_all(1, 12);
    bench.store = nullptr;
    const FakeFolder whole = *bench.folder;
    for (const auto& [name, file] : whole.files) {
        for (size_t at = 0; at < file.bytes.size(); ++at) {
            *bench.folder = whole;
            bench.folder->is_held = false;
            bench.folder->files[name].bytes[at] ^= 0x10;
            bench.restart();
            if (!bench.opened) {
                assert_true(bench.opened.error().find(name) != std::string::npos);
                continue;
            }
            assert_text(name, whole.files.rbegin()->first);
            assert_true(bench.notes.removals == range(1, 11));
            assert_true(bench.opened->cut_bytes > 0);
        }
    }
}

static void test_what_is_missing_is_refused(void**) {
    Bench bench(make_folder());
    bench.write_all(1, 60);
    bench.store = nullptr;
    const FakeFolder whole = *bench.folder;
    assert_true(whole.files.size() >= 4);
    for (auto file = whole.files.begin(); std::next(file) != whole.files.end(); ++file) {
        *bench.folder = whole;
        bench.folder->is_held = false;
        bench.folder->files.erase(file->first);
        bench.restart();
        assert_false(bench.opened.ok());
        assert_true(bench.opened.error().find(file->first + " is missing") != std::string::npos);
    }
}

static void test_a_segment_of_another_log_is_refused(void**) {
    Bench bench(make_folder()), other(make_folder());
    bench.write_all(1, 5);
    other.write_all(1, 5);
    bench.restart();
    bench.store = nullptr;
    other.store = nullptr;
    bench.folder->files.rbegin()->second = other.folder->files.rbegin()->second;
    bench.restart();
    assert_true(bench.opened.error().find("not of this log") != std::string::npos);
}

static void test_one_at_a_time(void**) {
    Bench bench(make_folder());
    LogStore second(std::make_unique<FakeDisk>(bench.folder), LogSync::Always, "boot");
    LogNotes notes;
    assert_false(second.open(notes).ok());
}

static void test_a_checkpoint_gives_back_room(void**) {
    Bench bench(make_folder());
    bench.write_all(1, 60);
    const uint64_t before = bench.store->bytes();
    assert_true(bench.store->begin_checkpoint().ok());
    for (uint64_t seq = 100; seq < 110; ++seq)
        assert_true(bench.write(seq, true));
    assert_true(bench.store->end_checkpoint().ok());
    assert_true(bench.store->bytes() < before);
    assert_true(bench.write(110));
    bench.lose_power();
    assert_true(bench.opened.ok());
    assert_true(bench.notes.removals == range(100, 110));
}

// What was copied in vain goes, and all else stays.
static void test_a_checkpoint_is_given_up(void**) {
    for (const bool is_between : {false, true}) {
        Bench bench(make_folder());
        bench.write_all(1, 20);
        const uint64_t before = bench.store->bytes();
        assert_true(bench.store->begin_checkpoint().ok());
        for (uint64_t seq = 100; seq < (is_between ? 104 : 130); ++seq) {
            assert_true(bench.write(seq, true));
            if (is_between && seq == 101)
                assert_true(bench.write(21));
        }
        bench.store->give_up_checkpoint();
        assert_true(is_between || bench.store->bytes() == before);
        assert_int_equal(bench.store->bytes(), bench.folder->bytes());
        bench.write_all(22, 23);
        bench.lose_power();
        std::vector<uint64_t> expected = range(1, 20);
        if (is_between)
            expected.insert(expected.end(), {100, 101, 21});
        expected.insert(expected.end(), {22, 23});
        assert_true(bench.opened.ok() && bench.notes.removals == expected);
    }
}

// What is left of it says where the one before ends: nothing that counts may follow there.
static void test_a_segment_is_half_made(void**) {
    Bench bench(make_folder());
    bench.write_all(1, 3);
    const size_t before = bench.folder->calls;
    bench.folder->fails = [&](size_t call) { return call > before + 2; };
    assert_false(bench.store->begin_checkpoint().ok()); // neither its sync nor its removal works
    bench.folder->fails = [](size_t) { return false; };
    assert_true(bench.last_file().size() > 0 && bench.folder->files.size() == 2);
    bench.write_all(4, 5);
    bench.restart();
    assert_true(bench.opened.ok() && bench.notes.removals == range(1, 5));
}

// Groups count as soon as they are written: they outlive the process, not the system.
static void test_every_second(void**) {
    Bench bench(make_folder(), LogSync::EverySecond);
    bench.write_all(1, 10);
    assert_true(bench.store->is_dirty() && bench.store->sync().ok() && !bench.store->is_dirty());
    bench.write_all(11, 13);
    bench.store = nullptr;
    bench.restart(); // the process died
    assert_true(bench.notes.removals == range(1, 13));
    assert_true(bench.opened->lost.empty());
    bench.write_all(14, 15);
    bench.set_boot("another");
    bench.lose_power();
    const size_t kept = bench.notes.removals.size();
    assert_true(is_prefix(bench.notes.removals) && kept >= 13);
    const Losses lost = {{kept, bench.opened->head}};
    assert_true(bench.opened->lost == lost);
    bench.restart(); // it died before it could say so
    assert_true(bench.opened->lost == lost);
    assert_true(bench.store->close(bench.opened->head).ok());
    bench.set_boot("a third");
    bench.restart();
    assert_true(bench.opened->lost.empty());
    bench.set_boot("");
    bench.write_all(bench.opened->head + 1, bench.opened->head + 1);
    bench.restart();
    assert_int_equal(bench.opened->lost.back().upto, bench.opened->head); // nobody knows
}

// What is cut was acknowledged, or was not.
static void test_a_tail_that_is_cut(void**) {
    for (const LogSync sync : {LogSync::Always, LogSync::EverySecond}) {
        Bench bench(make_folder(), sync);
        bench.write_all(1, 5);
        bench.store = nullptr;
        bench.last_file().resize(bench.last_file().size() - 3);
        bench.restart();
        assert_true(bench.opened->cut_bytes > 0 && bench.notes.removals == range(1, 4));
        assert_true(bench.opened->lost ==
                    (sync == LogSync::Always ? Losses() : Losses({{4, bench.opened->head}})));
    }
}

// What follows a hole of what was not synced is no sign of damage.
static void test_unsynced_pages_come_in_any_order(void**) {
    Bench bench(make_folder(), LogSync::EverySecond);
    bench.write_all(1, 3);
    assert_true(bench.store->sync().ok());
    const size_t synced = bench.last_file().size();
    bench.write_all(4, 6);
    bench.store = nullptr;
    std::fill_n(bench.last_file().begin() + static_cast<ptrdiff_t>(synced), 60, '\0');
    bench.restart();
    assert_true(bench.opened.ok() && bench.opened->cut_bytes > 0);
    assert_true(bench.notes.removals == range(1, 3));
    assert_true(bench.opened->lost == Losses({{3, bench.opened->head}}));
}

static void test_a_failed_sync_is_not_believed(void**) {
    Bench bench(make_folder(), LogSync::EverySecond);
    bench.write_all(1, 5);
    bench.folder->fails = [](size_t) { return true; };
    assert_false(bench.store->sync().ok());
    bench.folder->fails = [](size_t) { return false; };
    assert_true(bench.store->is_in_doubt());
    assert_false(bench.store->sync().ok());
    assert_true(bench.write(6)); // goes into another segment
    assert_true(bench.store->is_in_doubt());
    assert_false(bench.store->sync().ok());
    const FakeFolder doubtful = *bench.folder;
    bench.lose_power();
    assert_true(bench.opened.ok() && bench.notes.removals == std::vector<uint64_t>({1, 6}));
    assert_true(bench.opened->lost == Losses({{1, 5}}));

    *bench.folder = doubtful;
    bench.folder->is_held = false;
    bench.restart();
    assert_true(bench.notes.removals == range(1, 6) && bench.opened->lost.empty());
    assert_true(bench.store->is_in_doubt()); // it may not be on the disk
    assert_true(bench.store->begin_checkpoint().ok());
    bench.write_all(7, 8);
    assert_true(bench.store->end_checkpoint().ok());
    assert_true(bench.store->sync().ok());
    assert_true(bench.store->close(8).ok());
    bench.lose_power();
    assert_true(bench.notes.removals == range(7, 8));
    assert_true(bench.opened->lost.empty());
}

// What counts is in a file into which nothing more goes.
static void test_a_broken_segment_is_synced(void**) {
    Bench bench(make_folder(), LogSync::EverySecond);
    bench.write_all(1, 3);
    bench.folder->fails = [](size_t) { return true; };
    assert_false(bench.write(4));
    bench.folder->fails = [](size_t) { return false; };
    assert_true(bench.store->is_dirty() && bench.store->sync().ok() && !bench.store->is_dirty());
    bench.lose_power();
    assert_true(bench.notes.removals == range(1, 3));
}

// A segment is full, and what is in it cannot be synced: nothing counts behind that.
static void test_a_roll_that_fails(void**) {
    Bench bench(make_folder(), LogSync::EverySecond);
    bench.write_all(1, 3);
    bool has_failed = false;
    bench.folder->fails = [&](size_t) {
        const bool is_full = bench.last_file().size() >= 600;
        return is_full && !std::exchange(has_failed, true);
    };
    uint64_t seq = 3;
    while (seq < 100 && bench.write(seq + 1))
        ++seq;
    assert_true(has_failed && seq < 100 && bench.store->is_in_doubt());
    assert_int_equal(bench.folder->files.size(), 1);
}

// What was acknowledged is there after any failed call, and the loss of power behind it; and in
// order.
static void fail_each_call(LogSync sync, size_t every) {
    size_t calls = SIZE_MAX;
    for (size_t first = 1; first <= calls; ++first) {
        const Folder folder = make_folder();
        Bench bench(folder, sync);
        size_t failures = 0;
        const size_t opening = folder->calls;
        folder->fails = [&](size_t call) {
            const size_t number = call - opening;
            const bool fails = number == first || (every && number > first &&
                                                   (number - first) % every == 0 && number < 400);
            failures += fails;
            return fails;
        };
        std::vector<uint64_t> acknowledged;
        uint64_t seq = 0;
        for (int step = 0; step < 40; ++step) {
            if (step == 25 && bench.store->begin_checkpoint()) {
                bool is_whole = true;
                for (const uint64_t each : acknowledged)
                    is_whole = is_whole && bench.write(each, true);
                if (is_whole)
                    (void)bench.store->end_checkpoint().ok();
            }
            if (bench.store->is_in_doubt())
                continue; // the broker acknowledges nothing then
            if (bench.write(++seq))
                acknowledged.push_back(seq);
            if (sync == LogSync::EverySecond && step % 5 == 0)
                (void)bench.store->sync().ok();
        }
        if (failures == 0)
            break;
        calls = folder->calls;
        folder->fails = [](size_t) { return false; };
        bench.set_boot("another");
        bench.lose_power(first % 90);
        assert_true(bench.opened.ok());
        assert_true(sync == LogSync::EverySecond || bench.opened->lost.empty());
        std::vector<uint64_t>& seen = bench.notes.removals;
        for (const uint64_t each : acknowledged)
            assert_true(std::find(seen.begin(), seen.end(), each) != seen.end() ||
                        is_among(bench.opened->lost, each));
        for (const uint64_t each : seen)
            assert_true(each <= bench.opened->head);
    }
    assert_true(calls > 60);
}

static void test_each_call_fails_once(void**) {
    fail_each_call(LogSync::Always, 0);
    fail_each_call(LogSync::EverySecond, 0);
}

static void test_many_calls_fail(void**) {
    for (const size_t every : {2, 3, 5, 7}) {
        fail_each_call(LogSync::Always, every);
        fail_each_call(LogSync::EverySecond, every);
    }
}

// When the start itself fails, it says so, and the next one finds what was there.
static void test_each_call_of_a_start_fails(void**) {
    for (size_t first = 1; first < 100; ++first) {
        Bench bench(make_folder());
        bench.write_all(1, 20);
        bench.store = nullptr;
        size_t before = bench.folder->calls;
        bool has_failed = false;
        bench.folder->fails = [&](size_t call) {
            has_failed |= call - before == first;
            return call - before == first;
        };
        bench.restart();
        if (!has_failed)
            return assert_true(first > 5);
        assert_true(!bench.opened || bench.notes.removals == range(1, 20));
        bench.lose_power();
        assert_true(bench.opened.ok() && bench.notes.removals == range(1, 20));
    }
    assert_true(false);
}

static void test_on_a_real_disk(void**) {
    char folder[] = "/tmp/fanhorn-log-XXXXXX";
    assert_non_null(mkdtemp(folder));
    const std::string path = std::string(folder) + "/log";
    const auto open = [&](LogNotes& notes) {
        auto store = std::make_unique<LogStore>(system_disk(path), LogSync::Always, "boot");
        store->set_segment_bytes(600);
        const auto opened = store->open(notes);
        if (!opened)
            assert_true(opened.error().find("is held by") != std::string::npos);
        return opened ? std::move(store) : nullptr;
    };
    LogNotes notes, again, refused;
    auto store = open(notes);
    for (uint64_t seq = 1; seq <= 30; ++seq) {
        std::string entries;
        log_removal(entries, "c", seq);
        assert_true(store->commit(entries, seq).ok());
    }
    assert_true(open(refused) == nullptr);
    const uint64_t bytes = store->bytes();
    store = nullptr;
    assert_int_equal(system_disk(path)->bytes(), bytes);
    assert_int_equal(system_disk(path + "/none")->bytes(), 0);
    assert_true(open(again) != nullptr);
    assert_true(again.removals == range(1, 30));
    std::filesystem::remove_all(folder);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_comes_back),
        cmocka_unit_test(test_no_seq_is_given_twice),
        cmocka_unit_test(test_a_torn_tail_is_cut),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_what_is_missing_is_refused),
        cmocka_unit_test(test_a_segment_of_another_log_is_refused),
        cmocka_unit_test(test_one_at_a_time),
        cmocka_unit_test(test_a_checkpoint_gives_back_room),
        cmocka_unit_test(test_a_checkpoint_is_given_up),
        cmocka_unit_test(test_a_segment_is_half_made),
        cmocka_unit_test(test_every_second),
        cmocka_unit_test(test_unsynced_pages_come_in_any_order),
        cmocka_unit_test(test_a_tail_that_is_cut),
        cmocka_unit_test(test_a_failed_sync_is_not_believed),
        cmocka_unit_test(test_a_broken_segment_is_synced),
        cmocka_unit_test(test_a_roll_that_fails),
        cmocka_unit_test(test_each_call_fails_once),
        cmocka_unit_test(test_many_calls_fail),
        cmocka_unit_test(test_each_call_of_a_start_fails),
        cmocka_unit_test(test_on_a_real_disk),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
