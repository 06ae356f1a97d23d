// SPDX-License-Identifier: Apache-2.0
// The local broker goes on in another process.
#include "modules/broker_local.h"
#include "tests/unit/broker_contract.h"

using namespace fanhorn;

namespace {

const BrokerModule& local() {
    return **std::find_if(broker_modules().begin(), broker_modules().end(),
                          [](const BrokerModule* each) { return each->name == "local"; });
}

// Two processes, so to say, and one clock.
class Pair {
  public:
    Pair() : state_(const_cast<BrokerModule*>(&local())), before(&state_), after(&state_) {}

    [[nodiscard]] bool hand_over(Millis absent_until = 0) {
        std::string packed;
        before.broker->pack(packed);
        return after.broker->unpack(packed, absent_until ? absent_until : after.clock.now() + 5000);
    }

  private:
    void* state_;

  public:
    BrokerBench before, after;
};

Draft with_key(const std::string& payload) {
    Draft made = draft("c", payload);
    made.idempotency_key = "once";
    return made;
}

Seqs all_of(BrokerBench& bench, const std::string& channel) {
    return seqs(bench.read({channel}, earliest()));
}

std::vector<Attendee> people(BrokerBench& bench) {
    std::vector<Attendee> found;
    bench.broker->attendance("c", [&](std::vector<Attendee> who) { found = std::move(who); });
    return found;
}

} // namespace

static void test_order_goes_on(void**) {
    Pair pair;
    Seqs said;
    for (int i = 0; i < 5; ++i)
        said.push_back(pair.before.say(i % 2 ? "c" : "d"));
    assert_true(pair.hand_over());
    assert_true(pair.after.broker->pushed() == pair.before.broker->pushed());
    assert_true(all_of(pair.after, "d") == Seqs({said[0], said[2], said[4]}));
    assert_int_equal(pair.after.say("c"), said[4] + 1);
    assert_int_equal(pair.after.facts("c")->n, 3);
    const Start start = pair.after.locate({"c"}, pair.before.behind(said[1]));
    assert_false(start.channels.at(0).gap.has_value());
    assert_true(pair.after.read({"c"}, pair.before.behind(1)).gaps.empty());
}

static void test_what_is_gone_is_a_gap_there_too(void**) {
    Pair pair;
    for (BrokerBench* each : {&pair.before, &pair.after})
        each->settle([](ChannelSettings& settings) { settings.history = 2; });
    for (int i = 0; i < 5; ++i)
        pair.before.say("c");
    pair.before.settle([](ChannelSettings& settings) { settings.history_ttl = 1000; });
    pair.before.say("freed");
    pair.before.clock.advance(5000);
    pair.after.clock.advance(5000);
    pair.before.tick();
    assert_true(pair.hand_over());
    for (const char* channel : {"c", "freed"})
        assert_int_equal(pair.after.read({channel}, pair.before.behind(1)).gaps.size(), 1);
}

static void test_keys_markers_and_what_is_retained(void**) {
    Pair pair;
    const Published first = pair.before.publish(with_key("x"));
    Draft retained = draft("price", "1");
    retained.retain = true;
    retained.store = false;
    pair.before.publish(retained);
    ReadMark mark;
    mark.user = "bob";
    mark.channel = "c";
    mark.position = first.position;
    assert_true(pair.before.mark(mark).status == Marked::Status::Moved);
    assert_true(pair.hand_over());

    const Published again = pair.after.publish(with_key("x"));
    assert_true(again.status == Published::Status::Replayed && again.position == first.position);
    assert_true(pair.after.publish(with_key("y")).status == Published::Status::Mismatch);
    assert_text(pair.after.locate({"price"}, {}).channels.at(0).retained->payload, "1");
    assert_true(pair.after.markers({"c"}, "bob").at(0) == first.position);
}

// Who comes over is neither told to have joined nor to have left; who does not come leaves when it
// is time.
static void test_people(void**) {
    Pair pair;
    for (BrokerBench* each : {&pair.before, &pair.after})
        each->settle([](ChannelSettings& settings) {
            settings.presence_users = 10;
            settings.joins = true;
        });
    for (const char* user : {"ann", "bob"})
        assert_true(pair.before.broker->attend("c", {user, "", 0}, kNoConnection));
    assert_true(pair.hand_over(pair.after.clock.now() + 2000));
    Mailbox box{SIZE_MAX, [] {}};
    const size_t worker = pair.after.broker->add_worker(box);
    pair.after.subscribe(worker, {"c"});
    assert_int_equal(people(pair.after).size(), 2);
    assert_true(pair.after.broker->attend("c", {"ann", "", 0}, kNoConnection));
    pair.after.clock.advance(1000);
    pair.after.tick();
    assert_true(drain(box).empty());
    pair.after.clock.advance(1000);
    pair.after.tick();
    assert_int_equal(drain(box).size(), 1);
    assert_int_equal(people(pair.after).size(), 1);
    assert_text(people(pair.after)[0].user, "ann");
}

// The one that ends gives no position any more: another message has it there.
static void test_who_is_retired_gives_no_position(void**) {
    Pair pair;
    pair.before.settle([](ChannelSettings& settings) {
        settings.presence_users = 10;
        settings.joins = true;
    });
    const uint64_t said = pair.before.say("c");
    pair.before.broker->retire();
    assert_true(pair.before.publish(draft("c", "x")).status == Published::Status::Down);
    assert_true(pair.before.removal("c") == Removal::Down);
    ReadMark mark;
    mark.user = "bob";
    mark.channel = "c";
    mark.position = pair.before.behind(said).position;
    assert_true(pair.before.mark(mark).status == Marked::Status::Down);
    Mailbox box{SIZE_MAX, [] {}};
    const size_t worker = pair.before.broker->add_worker(box);
    assert_true(pair.before.subscribe(worker, {"c"}).status == Start::Status::Down);
    assert_true(pair.before.locate({"c"}, {}).status == Start::Status::Down);
    pair.before.broker->attend("c", {"ann", "", 0}, kNoConnection);
    assert_int_equal(pair.before.broker->pushed().seq, said);
}

static void test_what_is_damaged_is_refused(void**) {
    Pair pair;
    for (int i = 0; i < 3; ++i)
        pair.before.say("c");
    pair.before.broker->attend("c", {"ann", "", 0}, kNoConnection);
    std::string packed;
    pair.before.broker->pack(packed);
    for (size_t size = 0; size < packed.size(); ++size) {
        Pair other;
        assert_false(other.after.broker->unpack(packed.substr(0, size), 0));
    }
    assert_false(pair.after.broker->unpack(packed + "x", 0));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_order_goes_on),
        cmocka_unit_test(test_what_is_gone_is_a_gap_there_too),
        cmocka_unit_test(test_keys_markers_and_what_is_retained),
        cmocka_unit_test(test_people),
        cmocka_unit_test(test_who_is_retired_gives_no_position),
        cmocka_unit_test(test_what_is_damaged_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
