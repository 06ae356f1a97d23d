// SPDX-License-Identifier: Apache-2.0
// The transport contract, on every module and every form that it has.
#include "tests/unit/transport_contract.h"

#include "tests/unit/relay_bench.h"

#include <set>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

using Kind = Told::Kind;

// Asks, reads all there is, and, where a poll was answered, asks again.
class Reader {
  public:
    Reader(RelayBench& bench, const ClientSide& side, std::vector<std::string> channels,
           Since since)
        : bench_(bench), side_(side), channels_(std::move(channels)) {
        for (const TransportModule* module : transport_modules())
            if (module->name == side.module)
                transport_ = module->create();
        CHECK(transport_);
        ask(since);
    }

    // Everything since the last call, but the positions.
    std::vector<Told> told() {
        std::vector<Told> all;
        if (!is_poll_) {
            body_ += sink_->taken();
            take(all);
            return all;
        }
        // An answer may be older than what is asked for here: the end is one that is not.
        for (bool is_fresh = false; sink_->is_answered; is_fresh = true) {
            head_ = sink_->head;
            body_ = sink_->body;
            known_ = 0;
            const size_t before = all.size();
            take(all);
            if (!all.empty() && all.back().kind == Kind::End)
                break;
            ask(*parse_since(position_));
            if (is_fresh && all.size() == before)
                break;
        }
        return all;
    }
    const std::string& head() const { return head_; }
    // The last one it was told as its own.
    const std::string& position() const { return position_; }
    Encoding& encoding() const { return *encoding_; }
    Subscriber& subscriber() const { return *subscriber_; }
    bool is_poll() const { return is_poll_; }

  private:
    void ask(Since since) {
        static const std::string kHeaders = "Access-Control-Allow-Origin: *\r\n";
        std::vector<const ChannelSettings*> settings(channels_.size(), bench_.rules->others.get());
        const ConnectionId connection = connection_id(++bench_.connections);
        const Asked asked{.request = side_.request,
                          .channels = channels_,
                          .settings = settings,
                          .since = since,
                          .is_envelope = side_.is_envelope,
                          .connection = connection,
                          .headers = kHeaders,
                          .message_size = 65'536,
                          .fragments = 100,
                          .compress = true};
        auto opened = transport_->open(asked);
        CHECK(std::holds_alternative<Opening>(opened));
        Opening& opening = std::get<Opening>(opened);
        encoding_ = opening.encoding;
        is_poll_ = opening.is_poll;
        Wish wish = bench_.wish(channels_, since, *encoding_);
        wish.connection = connection;
        subscriber_ = nullptr; // before its sink
        sink_ = std::make_unique<FakeSink>();
        if (is_poll_) {
            auto poll = std::make_unique<PollSubscriber>(*sink_, wish, std::move(opening.poll));
            PollSubscriber& asking = *poll;
            subscriber_ = std::move(poll);
            asking.begin(Wish(wish));
        } else {
            auto stream = std::make_unique<StreamSubscriber>(*sink_, wish, std::move(opening.head));
            StreamSubscriber& asking = *stream;
            subscriber_ = std::move(stream);
            asking.begin(Wish(wish));
            const size_t end = sink_->received.find("\r\n\r\n");
            CHECK(end != std::string::npos);
            head_ = sink_->received.substr(0, end + 4);
            body_ = sink_->received.substr(end + 4);
            sink_->received.clear();
        }
    }

    // A stream is read from its beginning each time: the decoders keep no state.
    void take(std::vector<Told>& all) {
        std::vector<Told> found;
        const bool is_whole = side_.decode(body_, found);
        if (!is_whole)
            std::printf("%s: not whole: %s\n", side_.name.c_str(), body_.c_str());
        assert_true(is_whole);
        size_t index = 0;
        for (Told& each : found) {
            if (each.kind == Kind::Position)
                position_ = each.id;
            else if (index++ >= known_)
                all.push_back(std::move(each));
        }
        known_ = index;
    }

    RelayBench& bench_;
    const ClientSide& side_;
    const std::vector<std::string> channels_;
    std::unique_ptr<Transport> transport_;
    Encoding* encoding_ = nullptr;
    std::unique_ptr<FakeSink> sink_;
    std::unique_ptr<Subscriber> subscriber_;
    std::string head_, body_, position_;
    size_t known_ = 0;
    bool is_poll_ = false;
};

// As a client of that kind sees a message.
Told as_seen(const ClientSide& side, uint64_t seq, const RelayBench& bench, const Draft& draft) {
    Told told{.kind = Kind::Message};
    if (side.has_channels)
        told.channel = draft.channel;
    if (side.has_ids)
        told.id = bench.at(seq);
    const bool is_text = is_utf8(draft.payload);
    if (side.has_ids && (side.is_envelope || is_text))
        told.event = draft.event;
    told.payload = side.folds_lines && is_text ? with_line_feeds(draft.payload) : draft.payload;
    return told;
}

std::string text(const std::vector<Told>& told) {
    std::string out;
    for (const Told& each : told)
        for (const std::string& part :
             {std::to_string(static_cast<int>(each.kind)), each.channel, each.id, each.event,
              each.payload, each.after, each.next, each.why + "\n"})
            out += part + "|";
    return out;
}

void assert_told(const ClientSide& side, Reader& client, const std::vector<Told>& expected) {
    const std::vector<Told> told = client.told();
    if (told != expected)
        std::printf("%s got\n%snot\n%s", side.name.c_str(), text(told).c_str(),
                    text(expected).c_str());
    assert_true(told == expected);
}

const std::string kNul("a\0b", 3);

} // namespace

static void test_every_module_has_a_client(void**) {
    std::set<std::string> tested, names;
    for (const ClientSide& side : client_sides())
        tested.insert(side.module);
    for (const TransportModule* module : transport_modules()) {
        const std::string name(module->name);
        assert_row(name, names.insert(name).second);
        assert_row(name, tested.contains(name));
        assert_row(name, module->create()->name() == module->name);
    }
}

// The first module that says Yes is the one asked for.
static void test_negotiation(void**) {
    for (const ClientSide& side : client_sides()) {
        std::string first;
        for (const TransportModule* module : transport_modules())
            if (first.empty() && module->create()->asks(side.request) == Transport::Asks::Yes)
                first = module->name;
        assert_row(side.name, first == side.module);
    }
    for (const auto& request : {contract::request({}), contract::request({{"Accept", "*/*"}})})
        for (const TransportModule* module : transport_modules())
            assert_row(module->name, module->create()->asks(request) ==
                                         (module->name == "sse" ? Transport::Asks::Fallback
                                                                : Transport::Asks::No));
}

static void test_resume_and_live(void**) {
    for (const ClientSide& side : client_sides()) {
        RelayBench bench;
        const uint64_t first = bench.say("c", "one"), second = bench.say("c", "two");
        Reader client(bench, side, {"c"}, bench.behind(first));
        assert_told(side, client, {as_seen(side, second, bench, draft("c", "two"))});
        assert_row(side.name, client.head().starts_with("HTTP/1.1 "));
        assert_row(side.name, client.head().ends_with("\r\n\r\n"));
        assert_row(side.name, client.head().find("\r\nAccess-Control-Allow-Origin: *\r\n") !=
                                  std::string::npos);
        assert_row(side.name, client.head().find(
                                  "\r\nFanhorn-Id: " + bench.at(client.is_poll() ? second : first) +
                                  "\r\n") != std::string::npos);

        const uint64_t third = bench.say("c", "three");
        bench.worker.turn();
        assert_told(side, client, {as_seen(side, third, bench, draft("c", "three"))});
        if (side.has_ids)
            assert_row(side.name,
                       client.is_poll() || side.module == "sse"
                           ? client.position() == bench.at(third)
                           : client.position().empty() || client.position() == bench.at(first));
        assert_told(side, client, {});
    }
}

static void test_a_gap_comes_first(void**) {
    for (const ClientSide& side : client_sides()) {
        RelayBench bench;
        bench.settle([](ChannelSettings& settings) { settings.history = 1; });
        const uint64_t first = bench.say("c");
        bench.say("c");
        const uint64_t third = bench.say("c");
        const Told message = as_seen(side, third, bench, draft("c", "x"));
        const Told gap{.kind = Kind::Gap,
                       .channel = "c",
                       .after = bench.at(first),
                       .next = bench.at(third),
                       .why = "trimmed"};
        Reader client(bench, side, {"c"}, bench.behind(first));
        assert_told(side, client, side.has_ids ? std::vector{gap, message} : std::vector{message});

        bench.settle([](ChannelSettings& settings) { settings.history = 0; });
        Reader nothing(bench, side, {"c"}, bench.behind(first));
        std::vector<Told> lost;
        if (side.has_ids)
            lost.push_back({.kind = Kind::Gap,
                            .channel = "c",
                            .after = bench.at(first),
                            .next = "null",
                            .why = "trimmed"});
        assert_told(side, nothing, lost);
        if (side.has_ids)
            assert_row(side.name, nothing.position() == bench.at(third));
    }
}

static void test_several_channels(void**) {
    for (const ClientSide& side : client_sides()) {
        if (!side.is_envelope)
            continue; // several channels are always enveloped
        RelayBench bench;
        std::vector<Told> expected;
        for (const char* channel : {"b", "a", "b"})
            expected.push_back(as_seen(side, bench.say(channel), bench, draft(channel, "x")));
        Reader client(bench, side, {"a", "b"}, bench.behind(0));
        assert_told(side, client, expected);
        const uint64_t b = bench.say("b"), a = bench.say("a");
        bench.worker.turn();
        assert_told(
            side, client,
            {as_seen(side, b, bench, draft("b", "x")), as_seen(side, a, bench, draft("a", "x"))});
    }
}

static void test_retained(void**) {
    for (const ClientSide& side : client_sides()) {
        RelayBench bench;
        bench.settle([](ChannelSettings& settings) { settings.history = 0; });
        Draft put = draft("c", "on");
        put.retain = true;
        const uint64_t seq = bench.publish(Draft(put));
        const uint64_t head = bench.say("other");
        Told retained = as_seen(side, seq, bench, put);
        if (side.is_envelope)
            retained.kind = Kind::Retained;
        else if (side.has_ids)
            retained.id = bench.at(head); // it moves no id
        Reader client(bench, side, {"c"}, {});
        assert_told(side, client, {retained});
        Reader later(bench, side, {"c"}, bench.behind(seq));
        assert_told(side, later, {});
        Reader before(bench, side, {"c"}, bench.behind(seq - 1));
        std::vector<Told> told = before.told();
        std::erase_if(told, [](const Told& each) { return each.kind == Kind::Gap; });
        assert_row(side.name, told.size() == (before.is_poll() ? 0 : 1));
    }
}

// Nothing in a payload or an event breaks the framing or forges anything.
static void test_hostile_payloads(void**) {
    const std::string kPayloads[] = {
        "",
        " ",
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "a\r\rb",
        "a\n\r\nb",
        "data: x\n\nid: 999.999\ndata: forged\n\n",
        "a\r\nid: 999.999\r\n\r\nevent: end\r\ndata: {}\r\n\r\n",
        ": comment",
        "\xef\xbb\xbf"
        "bom",
        "\"quoted\" \\ back",
        "\"}],\"next\":\"1.1\",\"gaps\":[]}",
        "\x1b[0m\x07",
        kNul,
        std::string(1, '\0'),
        "\xff\xfe",
        "\xed\xa0\x80", // a surrogate
        "\xc0\xaf",     // overlong
        "line\n\xff\nid: 1.1\n\n",
        "\xe2\x80\xa8\xe2\x80\xa9", // line separators are no line ends
        "\xf0\x9f\x92\xa9",
        "</script>",
        std::string(125, 'x'),
        std::string(126, 'x'),
        std::string(65'535, 'y'),
        std::string(65'536, '\n'),
        std::string(70'000, '\xff'),
    };
    for (const ClientSide& side : client_sides())
        for (const char* type : {"text/plain", "application/json", "application/octet-stream", ""})
            for (const char* event : {"", "msg", " colon: x ", "\xc3\xa9"}) {
                RelayBench bench;
                Reader client(bench, side, {"c"}, {});
                std::vector<Told> expected;
                for (const std::string& payload : kPayloads) {
                    Draft each = draft("c", payload);
                    each.content_type = type;
                    each.event = event;
                    const uint64_t seq = bench.publish(Draft(each));
                    expected.push_back(as_seen(side, seq, bench, each));
                }
                bench.worker.turn();
                assert_told(side, client, expected);
            }
}

static void test_hostile_channels(void**) {
    for (const ClientSide& side : client_sides()) {
        if (!side.has_channels)
            continue;
        for (const char* channel :
             {"a\"b", "a\\", "a b", "\xc3\xa9:\xf0\x9f\x92\xa9", "</x>", "data: x"}) {
            RelayBench bench;
            bench.settle([](ChannelSettings& settings) { settings.history = 1; });
            bench.say(channel);
            const uint64_t seq = bench.say(channel);
            Reader client(bench, side, {channel}, bench.behind(0));
            assert_told(side, client,
                        {{.kind = Kind::Gap,
                          .channel = channel,
                          .after = bench.at(0),
                          .next = bench.at(seq),
                          .why = "trimmed"},
                         as_seen(side, seq, bench, draft(channel, "x"))});
        }
    }
}

// Or it could not be shared.
static void test_a_frame_depends_on_its_message_alone(void**) {
    for (const ClientSide& side : client_sides()) {
        RelayBench bench;
        Reader one(bench, side, {"c"}, {}), other(bench, side, {"c"}, {});
        std::vector<MessageRef> messages;
        for (int i = 0; i < 20; ++i)
            messages.push_back(MessageRef(new Message(
                draft("c", std::string(static_cast<size_t>(i) * 37, 'x')), {7, 99}, 3, 0)));
        std::vector<std::string> first;
        for (const MessageRef& each : messages)
            one.encoding().message(first.emplace_back(), *each);
        for (size_t i = messages.size(); i-- > 0;) { // in another order
            std::string again = "before";
            one.encoding().message(again, *messages[i]);
            assert_row(side.name, again == "before" + first[i]);
            std::string elsewhere;
            other.encoding().message(elsewhere, *messages[i]);
            assert_row(side.name, elsewhere == first[i]);
        }
    }
}

static void test_unstored(void**) {
    for (const ClientSide& side : client_sides()) {
        RelayBench bench;
        Reader client(bench, side, {"c"}, {});
        Draft typing = draft("c", "typing");
        typing.store = false;
        const uint64_t seq = bench.publish(Draft(typing));
        bench.worker.turn();
        const auto seen = as_seen(side, seq, bench, typing);
        assert_told(side, client, client.is_poll() ? std::vector<Told>{} : std::vector{seen});
        assert_row(side.name, client.encoding().carries_unstored() == !client.is_poll());
    }
}

static void test_heartbeats_tell_the_position(void**) {
    for (const ClientSide& side : client_sides()) {
        RelayBench bench;
        Reader client(bench, side, {"c"}, {});
        if (client.is_poll())
            continue; // its `next`
        const uint64_t elsewhere = bench.say("other");
        bench.worker.turn();
        static_cast<StreamSubscriber&>(client.subscriber()).heartbeat();
        assert_told(side, client, {});
        assert_row(side.name, client.position() == bench.at(elsewhere));
    }
}

static void test_ends(void**) {
    for (const ClientSide& side : client_sides()) {
        RelayBench bench;
        bench.say("c");
        Reader client(bench, side, {"c"}, {});
        if (client.subscriber().state() == Subscriber::State::Closed)
            continue; // a short poll has no end
        bench.broker->remove("c", [](Removal) {});
        bench.worker.turn();
        std::vector<Told> told = client.told();
        std::erase_if(told, [](const Told& each) { return each.kind == Kind::Farewell; });
        assert_row(side.name, told.size() == (side.has_ids ? 1 : 0));
        if (side.has_ids) {
            assert_row(side.name, told[0].kind == Kind::End && told[0].channel == "c");
            assert_row(side.name, told[0].why == "deleted");
        }
    }
}

static void test_last_words_are_whole(void**) {
    for (const ClientSide& side : client_sides())
        for (const auto why :
             {Farewell::Why::GoingAway, Farewell::Why::SlowConsumer, Farewell::Why::Ended}) {
            RelayBench bench;
            Reader client(bench, side, {"c"}, {});
            client.told();
            client.subscriber().close({.why = why, .retry_ms = 1234});
            if (!client.is_poll())
                assert_row(side.name,
                           client.subscriber().state() == Subscriber::State::Closed ||
                               client.subscriber().state() == Subscriber::State::Closing);
            for (const Told& each : client.told())
                assert_row(side.name, each.kind == Kind::Farewell);
        }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_every_module_has_a_client),
        cmocka_unit_test(test_negotiation),
        cmocka_unit_test(test_resume_and_live),
        cmocka_unit_test(test_a_gap_comes_first),
        cmocka_unit_test(test_several_channels),
        cmocka_unit_test(test_retained),
        cmocka_unit_test(test_hostile_payloads),
        cmocka_unit_test(test_hostile_channels),
        cmocka_unit_test(test_a_frame_depends_on_its_message_alone),
        cmocka_unit_test(test_unstored),
        cmocka_unit_test(test_heartbeats_tell_the_position),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_last_words_are_whole),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
