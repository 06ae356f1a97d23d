// SPDX-License-Identifier: Apache-2.0
#include "modules/idempotency.h"

#include <functional>
#include <set>

#include "tests/unit/test.h"

using namespace fanhorn;

static void test_the_digest_covers_all_options(void**) {
    const auto digest = [](const std::function<void(Draft&)>& change) {
        Draft draft;
        draft.channel = "c";
        draft.payload = "pay";
        draft.content_type = "text/plain";
        draft.event = "e";
        change(draft);
        return content_digest(draft);
    };
    std::set<Digest> seen;
    const std::pair<const char*, std::function<void(Draft&)>> kRows[] = {
        {"itself", [](Draft&) {}},
        {"payload", [](Draft& draft) { draft.payload = "pay2"; }},
        {"no payload", [](Draft& draft) { draft.payload.clear(); }},
        {"type", [](Draft& draft) { draft.content_type = "text/html"; }},
        {"event", [](Draft& draft) { draft.event = "f"; }},
        {"border moved",
         [](Draft& draft) {
             draft.content_type = "text/plaine";
             draft.event = "";
         }},
        {"tags", [](Draft& draft) { draft.tags = "k=v"; }},
        {"ttl", [](Draft& draft) { draft.ttl = 5; }},
        {"store", [](Draft& draft) { draft.store = false; }},
        {"retain", [](Draft& draft) { draft.retain = true; }},
        {"binary", [](Draft& draft) { draft.binary = true; }},
        {"exclude", [](Draft& draft) { draft.exclude[3] = 1; }},
    };
    for (const auto& [name, change] : kRows)
        assert_row(name, seen.insert(digest(change)).second);
    // The key and the channel name the entry; they are no content.
    for (const auto& change :
         {std::function<void(Draft&)>([](Draft& d) { d.channel = "d"; }),
          std::function<void(Draft&)>([](Draft& d) { d.idempotency_key = "k"; })})
        assert_true(digest(change) == digest([](Draft&) {}));
}

static void test_entries_are_by_channel_and_age(void**) {
    IdempotencyKeys keys;
    const IdempotencyKeys::Entry entry = {Digest{1}, {1, 7}, 3};
    assert_null(keys.find("c", "k", 0));
    assert_false(keys.insert("c", "k", entry, 100));
    assert_int_equal(keys.find("c", "k", 100)->position.seq, 7);
    assert_null(keys.find("d", "k", 100));
    assert_null(keys.find("c", "k2", 100));
    assert_null(keys.find("c,k", "", 100));
    assert_non_null(keys.find("c", "k", 100 + IdempotencyKeys::kLifetime - 1));
    assert_null(keys.find("c", "k", 100 + IdempotencyKeys::kLifetime));
    assert_false(keys.insert("c", "k", entry, 100 + IdempotencyKeys::kLifetime)); // free again
}

static void test_beyond_the_number_the_oldest_goes(void**) {
    IdempotencyKeys keys;
    const IdempotencyKeys::Entry entry = {Digest{}, {1, 1}, 1};
    for (size_t i = 0; i < IdempotencyKeys::kMaxKeys; ++i)
        assert_false(keys.insert("c", std::to_string(i), entry, 100));
    assert_true(keys.insert("c", "one more", entry, 100));
    assert_null(keys.find("c", "0", 100));
    assert_non_null(keys.find("c", "1", 100));
    assert_non_null(keys.find("c", "one more", 100));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_the_digest_covers_all_options),
        cmocka_unit_test(test_entries_are_by_channel_and_age),
        cmocka_unit_test(test_beyond_the_number_the_oldest_goes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
