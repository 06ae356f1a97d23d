// SPDX-License-Identifier: Apache-2.0
// Several NATS brokers on one stream: snapshots, nodes that come and go. What any broker does is in
// the contract's tests.
#include "modules/broker_nats.h"

#include "tests/unit/nats_server.h"
#include "tests/unit/relay_fakes.h"
#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

constexpr uint64_t kSlackBytes = 20'000;
constexpr Millis kLease = 600;

class Stage {
  public:
    Stage() {
        home.serve_this_thread();
        settings.type = "nats";
        settings.url = server().url();
        static int count = 0;
        settings.prefix = "stage" + std::to_string(++count);
        rules->others->history = 5;
        rules->others->history_ttl = 3'600'000;
        rules->others->presence = true;
        rules->others->joins = true;
        rules->others->presence_grace = 0;
    }
    static const NatsServer& server() {
        static const NatsServer server;
        return server;
    }
    template <typename Is> void wait_until(Is is) {
        for (int i = 0; !is(); ++i) {
            assert_true(i < 30'000); // thirty seconds
            Mailbox::Batch batch;
            home.take(batch);
            for (const Mail& mail : batch.mail)
                mail.notice->task();
            if (batch.mail.empty())
                usleep(1000);
        }
    }
    template <typename T, typename Ask> T ask(Ask question) {
        auto result = std::make_shared<std::optional<T>>();
        question([result](T value) { *result = std::move(value); });
        wait_until([&] { return result->has_value(); });
        return std::move(**result);
    }

    SystemClock clock;
    std::atomic<Millis> set_by = 0; // all nodes' wall clocks
    BrokerSettings settings;
    std::shared_ptr<TestRules> rules = std::make_shared<TestRules>();
    Mailbox home{SIZE_MAX, [] {}};
};

class Node {
  public:
    explicit Node(Stage& stage)
        : stage_(stage), broker(stage.settings,
                                {.slack_bytes = kSlackBytes,
                                 .lease = kLease,
                                 .wall = [&stage] { return wall_millis() + stage.set_by; }},
                                stage.clock, counters) {
        broker.configure(stage.rules, {.channels = 1000});
        assert_true(broker.start().ok());
        stage_.wait_until([&] { return broker.is_up(); });
    }
    ~Node() { broker.stop(); }

    Published publish(Draft draft) {
        return stage_.ask<std::vector<Published>>([&](auto done) {
            std::vector<Draft> drafts;
            drafts.push_back(std::move(draft));
            broker.publish(std::move(drafts), std::move(done));
        })[0];
    }
    // What is kept of a channel: its gap, then each message.
    std::string kept(const std::string& channel, Position since) {
        const Start start = locate(channel, {Since::Kind::After, 0, since});
        const Page page = read(channel, start);
        std::string text;
        for (const Gap& gap : page.gaps)
            text += position_text(gap.after) + " " + std::string(gap_reason(gap.why)) + " ";
        if (const MessageRef& retained = start.channels[0].retained)
            text += "=" + position_text(retained->position) + " ";
        for (const MessageRef& message : page.messages)
            text += position_text(message->position) + "/" + std::to_string(message->n) +
                    message->payload + " ";
        return text;
    }
    Start locate(const std::string& channel, Since since) {
        Start start =
            stage_.ask<Start>([&](auto done) { broker.locate({channel}, since, std::move(done)); });
        assert_true(start.status == Start::Status::Placed);
        return start;
    }
    Page read(const std::string& channel, const Start& start) {
        Stretch stretch;
        stretch.after = start.after;
        stretch.parts = {{channel, start.channels[0].floor}};
        return stage_.ask<Page>(
            [&](auto done) { broker.read(std::move(stretch), std::move(done)); });
    }
    std::string present(const std::string& channel) {
        const auto users = stage_.ask<std::vector<Attendee>>(
            [&](auto done) { broker.attendance(channel, std::move(done)); });
        std::string text;
        for (const Attendee& user : users)
            text += user.user + user.info + std::to_string(user.connections) + " ";
        return text;
    }
    Position marker(const std::string& channel, const std::string& user) {
        return stage_.ask<std::vector<Position>>(
            [&](auto done) { broker.markers({channel}, user, std::move(done)); })[0];
    }

  private:
    Stage& stage_;

  public:
    Counters counters;
    NatsBroker broker;
};

NatsStream stream_of(const Stage& stage) {
    NatsLink link([](uint64_t, std::string_view) {});
    NatsPeer peer;
    peer.url = *parse_nats_url(stage.settings.url);
    peer.stream = stage.settings.prefix;
    peer.client = "test";
    assert_true(link.open(peer).ok());
    const auto stream = link.find_stream();
    assert_true(stream.ok());
    return *stream;
}

std::string channel_name(int number) {
    return "c" + std::to_string(number % 20);
}

} // namespace

// A node that begins with one knows what those know that were there all the time.
static void test_snapshots(void**) {
    Stage stage;
    Node first(stage);
    Draft keyed = draft("keyed", "once");
    keyed.idempotency_key = "k";
    const Published once = first.publish(std::move(keyed));
    const Position begin = once.position;
    Draft state = draft("state", "new");
    state.retain = true;
    state.store = false;
    first.publish(std::move(state));
    first.broker.attend("room", {"alice", "{}"}, kNoConnection);
    ReadMark mark;
    mark.channel = "keyed";
    mark.user = "alice";
    mark.position = begin;
    stage.ask<Marked>([&](auto done) { first.broker.mark(std::move(mark), std::move(done)); });
    first.publish(draft("deleted", "x"));
    stage.ask<Removal>([&](auto done) { first.broker.remove("deleted", std::move(done)); });

    int published = 0;
    for (; stream_of(stage).first == 1; ++published) { // while it is being written as well
        assert_true(published < 5000);
        first.publish(draft(channel_name(published), std::string(200, 'x')));
        first.broker.tick();
    }
    for (int i = 0; i < 40; ++i)
        first.publish(draft(channel_name(published++), "behind"));

    Node second(stage);
    assert_true(second.broker.pushed() == first.broker.pushed());
    for (int i = 0; i < 20; ++i)
        assert_text(second.kept(channel_name(i), begin), first.kept(channel_name(i), begin));
    for (const char* name : {"keyed", "state", "deleted"})
        assert_text(second.kept(name, begin), first.kept(name, begin));
    assert_true(second.kept("c1", begin).find(" trimmed ") != std::string::npos);
    assert_true(second.kept("state", {begin.epoch, 0}).find('=') != std::string::npos);
    assert_text(second.present("room"), "alice{}1 ");
    assert_true(second.marker("keyed", "alice") == begin);
    keyed = draft("keyed", "once");
    keyed.idempotency_key = "k";
    const Published again = second.publish(std::move(keyed));
    assert_true(again.status == Published::Status::Replayed);
    assert_true(again.position == once.position && again.n == once.n);

    const Published next = second.publish(draft("c1", "next"));
    assert_true(next.position.epoch == begin.epoch);
    stage.wait_until([&] { return first.broker.pushed().seq >= next.position.seq; });
    assert_text(second.kept("c1", begin), first.kept("c1", begin));
}

// What one node has told is a position at the other, though it may not have come to it yet.
static void test_a_position_of_another_node(void**) {
    Stage stage;
    Node one(stage), other(stage);
    for (int i = 0; i < 200; ++i) {
        const Position since = one.publish(draft("c", "x")).position;
        const Start start = stage.ask<Start>([&](auto done) {
            other.broker.locate({"c"}, {Since::Kind::After, 0, since}, std::move(done));
        });
        assert_true(start.status == Start::Status::Placed);
        assert_false(start.channels[0].gap.has_value());
    }
}

// Its users leave when its lease ends, and are told to have left.
static void test_a_node_that_is_gone(void**) {
    Stage stage;
    Mailbox box(SIZE_MAX, [] {});
    Node watching(stage);
    const size_t worker = watching.broker.add_worker(box);
    const Start start = stage.ask<Start>(
        [&](auto done) { watching.broker.subscribe(worker, {"room"}, {}, std::move(done)); });
    assert_true(start.status == Start::Status::Placed);
    watching.broker.attend("room", {"bob", ""}, kNoConnection);
    auto gone = std::make_unique<Node>(stage);
    gone->broker.attend("room", {"alice", ""}, kNoConnection);
    gone->broker.attend("room", {"bob", ""}, kNoConnection);
    stage.wait_until([&] { return watching.present("room") == "alice1 bob2 "; });
    gone = nullptr;
    stage.wait_until([&] {
        watching.broker.tick();
        return watching.present("room") == "bob1 ";
    });
    Mailbox::Batch batch;
    box.take(batch);
    std::string told;
    for (const Mail& mail : batch.mail)
        told += (mail.message->tells == MessageKind::Join ? "+" : "-") + mail.message->payload;
    assert_text(told, "+{\"user\":\"bob\"}+{\"user\":\"alice\"}-{\"user\":\"alice\"}");
}

// Whose place another process has taken still counts along: its clients' positions are the others'.
static void test_one_that_is_retired(void**) {
    Stage stage;
    Mailbox box(SIZE_MAX, [] {});
    Node one(stage), other(stage);
    const size_t worker = one.broker.add_worker(box);
    stage.ask<Start>(
        [&](auto done) { one.broker.subscribe(worker, {"room"}, {}, std::move(done)); });
    one.broker.retire();
    other.broker.attend("room", {"alice", ""}, kNoConnection);
    stage.wait_until([&] { return one.present("room") == "alice1 "; });
    const Position last = other.publish(draft("room", "x")).position;
    stage.wait_until([&] { return one.broker.pushed().seq >= last.seq; });
    Mailbox::Batch batch;
    box.take(batch);
    assert_int_equal(batch.mail.size(), 2); // that she joined, too
    assert_true(batch.mail[1].message->position == last);
}

// A user who has a connection on another node is not offline.
static void test_who_is_heard_on_another_node(void**) {
    Stage stage;
    Mailbox box(SIZE_MAX, [] {});
    Node one(stage), other(stage);
    const size_t worker = one.broker.add_worker(box);
    const auto is_heard = [&] { return other.publish(draft("$user:bob", "x")).is_heard; };
    assert_false(is_heard());
    stage.ask<Start>(
        [&](auto done) { one.broker.subscribe(worker, {"$user:bob"}, {}, std::move(done)); });
    stage.wait_until(is_heard);
    one.broker.unsubscribe(worker, "$user:bob");
    stage.wait_until([&] { return !is_heard(); });
}

static void test_who_is_sent_away(void**) {
    Stage stage;
    Node one(stage);
    NatsBroker other(stage.settings, {}, stage.clock, one.counters);
    std::atomic<int> heard = 0;
    std::atomic<Millis> age = 0;
    other.on_user_away([&](const std::string& user, Millis its_age) {
        assert_text(user, "bob");
        age = its_age;
        ++heard;
    });
    other.configure(stage.rules, {});
    assert_true(other.start().ok());
    stage.wait_until([&] { return other.is_up(); });
    assert_true(stage.ask<bool>([&](auto done) { one.broker.send_user_away("bob", done); }));
    stage.wait_until([&] { return heard == 1; });
    assert_true(age < 1000);
    other.stop();
}

// One that was there before is as old to the others as it is.
static void test_clocks_that_are_set(void**) {
    Stage stage;
    Node first(stage);
    stage.set_by = 3'600'000;
    first.broker.tick();
    Node second(stage);
    const Published published = first.publish(draft("c", "x"));
    assert_true(published.status == Published::Status::Published);
    stage.wait_until([&] { return second.broker.pushed().seq >= published.position.seq; });
    const Page page = second.read("c", second.locate("c", {Since::Kind::Earliest, 0, {}}));
    assert_int_equal(page.messages.size(), 1);
    assert_true(stage.clock.now() - page.messages[0]->stored_at < 600'000);
}

static void test_what_cannot_be_is_refused(void**) {
    Stage stage;
    Node node(stage);
    const Published large = node.publish(draft("c", std::string(2 << 20, 'x'))); // 1 MB there
    assert_true(large.status == Published::Status::Down);
    assert_true(node.publish(draft("c", "x")).status == Published::Status::Published);
    BrokerSettings settings = stage.settings;
    settings.tls_ca = "/none";
    NatsBroker broker(settings, {}, stage.clock, node.counters);
    assert_text(broker.start().error(), "/none cannot be read");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshots),
        cmocka_unit_test(test_a_position_of_another_node),
        cmocka_unit_test(test_a_node_that_is_gone),
        cmocka_unit_test(test_who_is_heard_on_another_node),
        cmocka_unit_test(test_one_that_is_retired),
        cmocka_unit_test(test_who_is_sent_away),
        cmocka_unit_test(test_clocks_that_are_set),
        cmocka_unit_test(test_what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
