// SPDX-License-Identifier: Apache-2.0
#include "relay/history.h"

#include <algorithm>
#include <random>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

MessageRef message(uint64_t seq, Millis now, size_t size = 1, Millis ttl = 0) {
    Draft draft;
    draft.channel = "c";
    draft.payload = std::string(size, 'x');
    draft.ttl = ttl;
    return MessageRef(new Message(std::move(draft), {1, seq}, seq, now));
}

ChannelSettings limits(uint32_t count, size_t bytes = 1 << 20, Millis ttl = 1'000'000) {
    ChannelSettings settings;
    settings.history = count;
    settings.history_bytes = bytes;
    settings.history_ttl = ttl;
    return settings;
}

} // namespace

static void test_count(void**) {
    History history;
    std::vector<MessageRef> dropped;
    const ChannelSettings three = limits(3);
    for (uint64_t seq = 10; seq < 15; ++seq)
        history.append(message(seq, 0), three, 0, dropped);
    assert_int_equal(history.size(), 3);
    assert_int_equal(history.at(0).position.seq, 12);
    assert_int_equal(history.trimmed(), 11);
    assert_int_equal(dropped.size(), 2);
    history.trim(limits(0), 0, dropped);
    assert_true(history.empty());
    assert_int_equal(history.trimmed(), 14);
    assert_int_equal(history.bytes(), 0);
}

static void test_bytes(void**) {
    History history;
    std::vector<MessageRef> dropped;
    const size_t one = message(1, 0, 1000)->bytes();
    const ChannelSettings two = limits(100, 2 * one);
    history.append(message(1, 0, 1000), two, 0, dropped);
    history.append(message(2, 0, 1000), two, 0, dropped);
    assert_int_equal(history.size(), 2); // the limit itself is within
    history.append(message(3, 0, 1000), two, 0, dropped);
    assert_int_equal(history.size(), 2);
    assert_int_equal(history.bytes(), 2 * one);
    history.append(message(4, 0, 100'000), two, 0, dropped); // larger than the limit
    assert_true(history.empty());
    assert_int_equal(history.trimmed(), 4);
}

static void test_age(void**) {
    History history;
    std::vector<MessageRef> dropped;
    const ChannelSettings brief = limits(100, 1 << 20, 50);
    history.append(message(1, 100), brief, 100, dropped);
    history.append(message(2, 120), brief, 120, dropped);
    assert_int_equal(history.next_expiry(brief), 150);
    history.trim(brief, 149, dropped);
    assert_int_equal(history.size(), 2);
    history.trim(brief, 150, dropped);
    assert_int_equal(history.size(), 1);
    assert_int_equal(history.trimmed(), 1);
    history.trim(brief, 170, dropped);
    assert_int_equal(history.next_expiry(brief), 0); // empty
}

static void test_own_ttl_is_no_trimming(void**) {
    History history;
    std::vector<MessageRef> dropped;
    const ChannelSettings many = limits(100);
    history.append(message(1, 100, 1, 20), many, 100, dropped);
    history.append(message(2, 100, 1, 500), many, 100, dropped);
    history.append(message(3, 100), many, 100, dropped);
    assert_int_equal(history.next_expiry(many), 120);
    history.trim(many, 120, dropped);
    assert_int_equal(history.size(), 2);
    assert_int_equal(history.trimmed(), 0);
    history.trim(limits(1), 120, dropped); // alive, and dropped by the limit
    assert_int_equal(history.trimmed(), 2);
}

static void test_clear_counts_as_trimmed(void**) {
    History history;
    std::vector<MessageRef> dropped;
    history.append(message(7, 0), limits(100), 0, dropped);
    history.append(message(9, 0), limits(100), 0, dropped);
    history.clear(dropped);
    assert_true(history.empty());
    assert_int_equal(history.trimmed(), 9);
    assert_int_equal(dropped.size(), 2);
    history.raise_trimmed(5); // never falls
    assert_int_equal(history.trimmed(), 9);
    history.append(message(10, 0), limits(100), 0, dropped);
    assert_int_equal(history.at(0).position.seq, 10);
}

static void test_first_after(void**) {
    History history;
    std::vector<MessageRef> dropped;
    assert_int_equal(history.first_after(0), 0);
    for (const uint64_t seq : {10, 20, 30})
        history.append(message(seq, 0), limits(100), 0, dropped);
    const struct {
        const char* name;
        uint64_t seq;
        size_t index;
    } kRows[] = {{"before", 0, 0},  {"just before", 9, 0}, {"the first", 10, 1}, {"between", 15, 1},
                 {"middle", 20, 2}, {"the last", 30, 3},   {"behind", 99, 3}};
    for (const auto& row : kRows)
        assert_row(row.name, history.first_after(row.seq) == row.index);
}

// Against a plain vector, through many turns of the ring.
static void test_against_a_model(void**) {
    std::mt19937_64 random(42);
    History history;
    std::vector<MessageRef> model;
    uint64_t trimmed = 0, seq = 0;
    Millis now = 1000, first_ttl = 0;
    for (int step = 0; step < 20'000; ++step) {
        const ChannelSettings settings =
            limits(static_cast<uint32_t>(random() % 40), 3000 + random() % 10'000,
                   static_cast<Millis>(50 + random() % 200));
        std::vector<MessageRef> dropped;
        now += static_cast<Millis>(random() % 40);
        const bool is_append = random() % 4 != 0;
        if (is_append) {
            seq += 1 + random() % 3;
            const Millis ttl = random() % 5 == 0 ? static_cast<Millis>(1 + random() % 100) : 0;
            model.push_back(message(seq, now, random() % 400, ttl));
            history.append(model.back(), settings, now, dropped);
        } else {
            history.trim(settings, now, dropped);
        }
        std::vector<MessageRef> gone; // first by their own ttl, wherever they are, once a second
        if (is_append && model.back()->expires)
            first_ttl =
                first_ttl ? std::min(first_ttl, model.back()->expires) : model.back()->expires;
        if (first_ttl && first_ttl <= now) {
            first_ttl = 0;
            std::erase_if(model, [&](const MessageRef& each) {
                if (each->is_expired(now))
                    gone.push_back(each);
                else if (each->expires)
                    first_ttl = first_ttl ? std::min(first_ttl, each->expires) : each->expires;
                return each->is_expired(now);
            });
            first_ttl = first_ttl ? std::max(first_ttl, now + 1000) : 0;
        }
        size_t bytes = 0;
        for (const MessageRef& each : model)
            bytes += each->bytes();
        while (!model.empty() &&
               (model.front()->stored_at + settings.history_ttl <= now ||
                model.size() > settings.history || bytes > settings.history_bytes)) {
            if (!model.front()->is_expired(now))
                trimmed = model.front()->position.seq;
            bytes -= model.front()->bytes();
            gone.push_back(model.front());
            model.erase(model.begin());
        }
        assert_true(dropped == gone);
        if (model.empty())
            first_ttl = 0;

        assert_int_equal(history.size(), model.size());
        assert_int_equal(history.bytes(), bytes);
        assert_int_equal(history.trimmed(), trimmed);
        for (size_t i = 0; i < model.size(); ++i)
            assert_true(history.ref(i) == model[i]);
        const uint64_t probe = random() % (seq + 2);
        const auto found = std::find_if(model.begin(), model.end(), [&](const MessageRef& each) {
            return each->position.seq > probe;
        });
        assert_int_equal(history.first_after(probe), found - model.begin());
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_age),
        cmocka_unit_test(test_own_ttl_is_no_trimming),
        cmocka_unit_test(test_clear_counts_as_trimmed),
        cmocka_unit_test(test_first_after),
        cmocka_unit_test(test_against_a_model),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
