// SPDX-License-Identifier: Apache-2.0
// What every broker module must do, written against the Broker seam alone. The bench turns one
// broker by hand; the tests are in broker_*_test.cc and run on each module. One that has a server
// behind it is waited for: what a call has led to has happened when it returns.
#pragma once

#include "modules/broker_durable.h"
#include "tests/unit/fake_disk.h"
#include "tests/unit/nats_server.h"
#include "tests/unit/redis_server.h"
#include "tests/unit/relay_fakes.h"

#include <optional>
#include <string>
#include <vector>

#include "tests/unit/test.h"

namespace fanhorn {

class BrokerBench {
  public:
    // `state` as cmocka hands it in: the module.
    explicit BrokerBench(void** state) {
        const auto& module = *static_cast<const BrokerModule*>(*state);
        broker = module.create(settings_of(module), clock, counters);
        broker->configure(rules, {.channels = 1000});
        home_.serve_this_thread();
        assert_true(broker->start().ok());
        is_remote_ = module.name != "local";
        wait_until([&] { return broker->is_up(); });
    }
    ~BrokerBench() { broker->stop(); }

    Published publish(Draft draft) {
        std::vector<Draft> drafts;
        drafts.push_back(std::move(draft));
        return publish_all(std::move(drafts)).at(0);
    }
    std::vector<Published> publish_all(std::vector<Draft> drafts) {
        return answer<std::vector<Published>>(
            [&](auto done) { broker->publish(std::move(drafts), std::move(done)); });
    }
    // Returns the seq of a plain message.
    uint64_t say(const std::string& channel, const std::string& payload = "x") {
        const Published published = publish(draft(channel, payload));
        assert_true(published.status == Published::Status::Published);
        return published.position.seq;
    }
    Start subscribe(size_t worker, std::vector<std::string> channels, Since since = {}) {
        return answer<Start>([&](auto done) {
            broker->subscribe(worker, std::move(channels), since, std::move(done));
        });
    }
    Start locate(std::vector<std::string> channels, Since since) {
        return answer<Start>(
            [&](auto done) { broker->locate(std::move(channels), since, std::move(done)); });
    }
    Page read(Stretch stretch) {
        return answer<Page>([&](auto done) { broker->read(std::move(stretch), std::move(done)); });
    }
    // What a reader of these channels gets from its start on.
    Page read(const std::vector<std::string>& channels, Since since) {
        const Start start = locate(channels, since);
        Stretch stretch;
        stretch.after = start.after;
        for (size_t i = 0; i < channels.size(); ++i)
            stretch.parts.push_back({channels[i], start.channels.at(i).floor});
        return read(std::move(stretch));
    }
    Removal removal(const std::string& channel) {
        return answer<Removal>([&](auto done) { broker->remove(channel, std::move(done)); });
    }
    bool remove(const std::string& channel) { return removal(channel) == Removal::Removed; }
    std::optional<ChannelFacts> facts(const std::string& channel) {
        return answer<std::optional<ChannelFacts>>(
            [&](auto done) { broker->facts(channel, std::move(done)); });
    }
    ChannelList list(std::string_view prefix, std::string_view cursor, size_t limit) {
        return answer<ChannelList>(
            [&](auto done) { broker->list(prefix, cursor, limit, std::move(done)); });
    }
    Marked mark(ReadMark mark) {
        return answer<Marked>([&](auto done) { broker->mark(std::move(mark), std::move(done)); });
    }
    std::vector<Position> markers(const std::vector<std::string>& channels,
                                  const std::string& user) {
        return answer<std::vector<Position>>(
            [&](auto done) { broker->markers(channels, user, std::move(done)); });
    }
    void unsubscribe(size_t worker, const std::string& channel) {
        broker->unsubscribe(worker, channel);
        catch_up();
    }
    void tick() {
        broker->tick();
        catch_up();
    }
    Since behind(uint64_t seq) const {
        return {.kind = Since::Kind::After, .count = 0, .position = {broker->pushed().epoch, seq}};
    }
    // Other settings for all channels, from now on.
    template <typename Change>
    void settle(Change change, BrokerLimits limits = {.channels = 1000}) {
        rules = std::make_shared<TestRules>();
        change(*rules->others);
        broker->configure(rules, limits);
    }

    FakeClock clock;
    Counters counters;
    std::shared_ptr<TestRules> rules = std::make_shared<TestRules>();
    std::unique_ptr<Broker> broker;

  private:
    static BrokerSettings settings_of(const BrokerModule& module) {
        BrokerSettings settings;
        settings.type = module.name;
        static int count = 0;
        if (module.name == "redis") {
            static const RedisServer server;
            settings.url = server.url();
            settings.prefix = "test" + std::to_string(++count) + ":";
        } else if (module.name == "nats") {
            static const NatsServer server;
            settings.url = server.url();
            settings.prefix = "test" + std::to_string(++count);
        }
        return settings;
    }
    template <typename Is> void wait_until(Is is) {
        for (int i = 0; !is(); ++i) {
            assert_true(i < 100'000); // ten seconds
            Mailbox::Batch batch;
            home_.take(batch);
            for (const Mail& mail : batch.mail)
                mail.notice->task();
            if (batch.mail.empty())
                usleep(100);
        }
    }
    // What has been published up to now is in the boxes.
    void catch_up() {
        if (!is_remote_)
            return;
        broker->tick();
        const uint64_t head = ask<Start>([&](auto done) { broker->locate({"c"}, {}, done); }).head;
        wait_until([&] { return broker->pushed().seq >= head; });
    }
    template <typename T, typename Ask> T ask(Ask ask) {
        auto result = std::make_shared<std::optional<T>>();
        ask([result](T value) { *result = std::move(value); });
        if (is_remote_)
            wait_until([&] { return result->has_value(); });
        assert_true(result->has_value());
        return std::move(**result);
    }
    template <typename T, typename Ask> T answer(Ask question) {
        T result = ask<T>(std::move(question));
        catch_up();
        return result;
    }

    Mailbox home_{SIZE_MAX, [] {}};
    bool is_remote_ = false;
};

inline Since earliest() {
    return {.kind = Since::Kind::Earliest, .count = 0, .position = {}};
}
inline Since newest(uint64_t count) {
    return {.kind = Since::Kind::Newest, .count = count, .position = {}};
}

inline std::vector<uint64_t> seqs(const Page& page) {
    std::vector<uint64_t> seqs;
    for (const MessageRef& message : page.messages)
        seqs.push_back(message->position.seq);
    return seqs;
}
// The seqs of the messages in a box; its notices are left out.
inline std::vector<uint64_t> drain(Mailbox& box) {
    std::vector<uint64_t> seqs;
    Mailbox::Batch batch;
    box.take(batch);
    for (const Mail& mail : batch.mail)
        if (mail.message)
            seqs.push_back(mail.message->position.seq);
    return seqs;
}

using Seqs = std::vector<uint64_t>;

// The local broker with a log, on a disk in memory that is new for each.
template <DurableBroker::Turn turn>
std::unique_ptr<Broker> create_durable(const BrokerSettings& settings, const Clock& clock,
                                       Counters& counters) {
    DurableBroker::Seams seams;
    seams.disk = std::make_unique<FakeDisk>(std::make_shared<FakeFolder>());
    seams.turn = turn;
    seams.slack_bytes = seams.segment_bytes = 10'000;
    return std::make_unique<DurableBroker>(settings, std::move(seams), clock, counters);
}
inline constexpr BrokerModule kDurableModules[] = {
    {"durable", create_durable<DurableBroker::Turn::Caller>},
    {"durable, with a thread", create_durable<DurableBroker::Turn::Thread>},
};

enum class Servers : uint8_t { Too, No };

// Runs the tests on every module, or those without a server behind them.
template <size_t count>
int run_broker_contract(const CMUnitTest (&tests)[count], Servers servers = Servers::Too) {
    int failed = 0;
    std::vector<const BrokerModule*> modules(broker_modules().begin(), broker_modules().end());
    for (const BrokerModule& module : kDurableModules)
        modules.push_back(&module);
    for (const BrokerModule* module : modules) {
        if (servers == Servers::No && (module->name == "redis" || module->name == "nats"))
            continue;
        std::vector<CMUnitTest> all(tests, tests + count);
        for (CMUnitTest& test : all)
            test.initial_state = const_cast<BrokerModule*>(module);
        failed += _cmocka_run_group_tests(std::string(module->name).c_str(), all.data(), all.size(),
                                          nullptr, nullptr);
    }
    return failed;
}

} // namespace fanhorn
