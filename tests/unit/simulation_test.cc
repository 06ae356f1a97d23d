// SPDX-License-Identifier: Apache-2.0
// Two workers, one broker and a crowd of clients, driven by a seeded source of accidents; every
// byte that a client is given is judged by relay_oracle.h. FANHORN_SOAK=1 runs a hundred times as
// many worlds, FANHORN_SEED=N that one alone.
#include "tests/unit/simulated_client.h"

#include <cstdlib>
#include <optional>
#include <random>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

constexpr size_t kMaxClients = 12;
constexpr size_t kSteps = 300;

class World {
  public:
    explicit World(uint64_t seed)
        : random_(seed), is_roomy_(chance(20)),
          broker_(broker_modules()[0]->create({}, clock_, broker_counters_)) {
        reconfigure();
        const size_t mailbox_bytes = is_roomy_ ? SIZE_MAX : pick({1500, 20'000, 1'000'000'000});
        for (size_t i = 0; i < 2; ++i) {
            workers_.push_back(std::make_unique<TestWorker>(clock_, *broker_, mailbox_bytes));
            if (chance(50))
                workers_[i]->hub.set_batch_writer(&writer_);
        }
        for (Encoding* each : encodings())
            static_cast<TestEncoding*>(each)->head = &head_;
    }
    ~World() {
        clients_.clear();
        for (auto& worker : workers_) {
            deliver(*worker);
            worker->hub.reap();
        }
    }

    // The first fault, or "".
    std::string run() {
        for (size_t i = 0; i < kSteps && fault_.empty(); ++i) {
            step();
            judge();
        }
        if (fault_.empty())
            calm_down();
        return fault_;
    }
    size_t gaps = 0, messages = 0, limits = 0;

  private:
    // ---- accidents

    uint64_t below(uint64_t bound) { return random_() % bound; }
    bool chance(unsigned percent) { return below(100) < percent; }
    size_t pick(std::initializer_list<size_t> of) { return of.begin()[below(of.size())]; }
    std::string channel() { return std::string(1, static_cast<char>('a' + below(6))); }

    void step() {
        const uint64_t dice = below(100);
        if (dice < 30)
            publish();
        else if (dice < 55)
            turn(*workers_[below(2)]);
        else if (dice < 72)
            with_client([this](SimulatedClient& each) { open_sink(each); });
        else if (dice < 84)
            join_somehow();
        else if (dice < 88)
            with_client([this](SimulatedClient& each) { talk(each); });
        else if (dice < 92)
            with_client([this](SimulatedClient& each) { leave(each); });
        else
            rarely();
    }

    void rarely() {
        switch (below(8)) {
        case 0:
            if (!is_roomy_)
                remove(channel());
            return;
        case 1:
            return reconfigure();
        case 2:
            clock_.advance(static_cast<Millis>(pick({10, 1'000, 20'000})));
            return;
        case 3:
            return broker_->tick();
        case 4:
            for (auto& worker : workers_)
                worker->hub.tick(15'000);
            return;
        case 5:
            return with_client([](SimulatedClient& each) { each.sink.breaks_next = true; });
        case 6:
            return with_client([](SimulatedClient& each) {
                if (each.poll)
                    each.poll->on_timeout();
            });
        default:
            return with_client([](SimulatedClient& each) { each.subscriber->close({}); });
        }
    }

    void reconfigure() {
        auto rules = std::make_shared<TestRules>();
        for (char name = 'a'; name <= 'f'; ++name) {
            ChannelSettings& settings = rules->exact[std::string(1, name)];
            if (is_roomy_) {
                settings = roomy();
                continue;
            }
            settings.history = static_cast<uint32_t>(pick({0, 1, 5, 50, 1000}));
            settings.history_bytes = pick({2000, 1'000'000});
            settings.history_ttl = static_cast<Millis>(pick({5'000, 1'000'000}));
            settings.slow_consumer = static_cast<SlowConsumer>(below(3));
            settings.slow_consumer_limit = pick({10, 300, 3000, 1'000'000});
        }
        broker_->configure(rules, {.channels = 1000});
        for (auto& worker : workers_)
            worker->hub.configure(rules);
    }

    static ChannelSettings roomy() {
        ChannelSettings settings;
        settings.history = 1'000'000;
        settings.history_bytes = settings.slow_consumer_limit = 1'000'000'000;
        settings.history_ttl = 1'000'000'000;
        return settings;
    }

    void publish() {
        std::vector<Draft> drafts;
        for (uint64_t i = 0, count = 1 + below(4); i < count; ++i)
            drafts.push_back(draft());
        const std::vector<Draft> copies = drafts;
        broker_->publish(std::move(drafts), [&](std::vector<Published> results) {
            for (size_t i = 0; i < results.size(); ++i)
                note(copies[i], results[i]);
        });
        head_ = broker_->pushed().seq;
    }

    Draft draft() {
        const size_t size = pick({0, 3, 40, 200, 2000});
        Draft draft =
            fanhorn::draft(channel(), std::string(size, static_cast<char>('a' + below(26))));
        draft.store = !chance(10);
        draft.retain = chance(5);
        draft.ttl = chance(10) ? static_cast<Millis>(pick({5, 500, 30'000})) : 0;
        if (chance(10) && !clients_.empty())
            draft.exclude = clients_[below(clients_.size())]->wish.connection;
        return draft;
    }

    void note(const Draft& draft, const Published& published) {
        if (published.status != Published::Status::Published)
            return blame("not published");
        ledger_.add(published.position.seq, {.channel = draft.channel,
                                             .payload = draft.payload,
                                             .exclude = draft.exclude,
                                             .expires = draft.ttl ? clock_.now() + draft.ttl : 0,
                                             .stored = draft.store,
                                             .retained = draft.retain});
    }

    void remove(const std::string& name) {
        broker_->remove(name, [](Removal) {});
        head_ = broker_->pushed().seq;
        ledger_.remove(name, head_);
    }

    // ---- workers

    static void deliver(TestWorker& worker) { worker.deliver(); }
    void turn(TestWorker& worker) {
        if (chance(80))
            deliver(worker);
        for (uint64_t i = 0, slices = below(4); i < slices; ++i)
            worker.hub.flush(pick({1, 2, 7, 1000}));
        end_of_turn(worker);
    }
    void end_of_turn(TestWorker& worker) {
        judge();
        std::vector<Wish> again;
        std::erase_if(clients_, [&](const std::unique_ptr<SimulatedClient>& each) {
            if (workers_[each->worker].get() != &worker || !each->sink.is_done())
                return false;
            bury(*each, again);
            return true;
        });
        worker.hub.reap();
        for (Wish& wish : again)
            join(std::move(wish), below(2));
    }

    // ---- clients

    template <typename Do> void with_client(Do action) {
        if (clients_.empty())
            return;
        SimulatedClient& client = *clients_[below(clients_.size())];
        if (client.is_begun && !client.sink.is_done())
            action(client);
    }

    void open_sink(SimulatedClient& client) {
        client.sink.room = pick({0, 7, 60, 900, 10'000, SIZE_MAX});
        if (!client.sink.is_blocked || client.sink.room == 0)
            return;
        client.sink.is_blocked = false;
        client.subscriber->on_writable();
    }

    void talk(SimulatedClient& client) {
        if (!client.stream)
            return;
        if (chance(50))
            client.stream->heartbeat();
        else
            client.stream->control("control;");
    }

    // The client goes without a word, within no call.
    void leave(SimulatedClient& client) {
        std::vector<Wish> again;
        bury(client, again);
        std::erase_if(clients_, [&](const auto& each) { return each.get() == &client; });
        for (Wish& wish : again)
            join(std::move(wish), below(2));
    }

    // Perhaps it comes back, from what it has seen or from what we took for its position.
    void bury(SimulatedClient& client, std::vector<Wish>& again) {
        if (client.sink.is_finished && client.session && client.session->has_said_farewell())
            client.session->check_whole();
        judge(client);
        gaps += client.session->gaps();
        messages += client.session->messages();
        if (!client.is_begun || chance(40) || clients_.size() > kMaxClients)
            return;
        const bool is_ours = chance(50);
        const Position at = is_ours ? client.subscriber->position() : client.session->last();
        if (at.epoch == 0)
            return; // not even a hello was seen
        Wish wish = client.wish;
        wish.since = {.kind = Since::Kind::After, .count = 0, .position = at};
        again.push_back(std::move(wish));
    }

    void join_somehow() {
        if (clients_.size() >= kMaxClients)
            return;
        Wish wish;
        for (char name = 'a'; name <= 'f'; ++name)
            if (chance(30))
                wish.channels.emplace_back(1, name);
        if (wish.channels.empty() || chance(40))
            wish.channels = {channel()};
        wish.since = since();
        join(std::move(wish), below(2));
    }

    Since since() {
        const Position head = broker_->pushed();
        switch (below(7)) {
        case 0:
            return {};
        case 1:
            return {.kind = Since::Kind::Earliest, .count = 0, .position = {}};
        case 2:
            return {.kind = Since::Kind::Newest, .count = below(7), .position = {}};
        case 3: // of another broker
            return {.kind = Since::Kind::After, .count = 0, .position = {7, below(head.seq + 5)}};
        case 4: // ahead
            return {.kind = Since::Kind::After, .count = 0, .position = {head.epoch, head.seq + 9}};
        default:
            return {.kind = Since::Kind::After,
                    .count = 0,
                    .position = {head.epoch, below(head.seq + 1)}};
        }
    }

    // Now, or as a task of the worker in the midst of its mail.
    void join(Wish wish, size_t worker) {
        auto client = std::make_unique<SimulatedClient>();
        client->worker = worker;
        client->wish = std::move(wish);
        client->wish.encoding = encodings_of(worker)[below(3)];
        client->wish.end = &workers_[worker]->end;
        client->wish.connection = connection_id(static_cast<uint8_t>(++joined_ % 250 + 1));
        client->wish.settings.assign(client->wish.channels.size(), nullptr);
        client->sink.room = pick({0, 30, 1000, SIZE_MAX, SIZE_MAX});
        SimulatedClient* borrowed = client.get();
        clients_.push_back(std::move(client));
        if (chance(50))
            return begin(*borrowed);
        workers_[worker]->box.post([this, borrowed] {
            for (const auto& each : clients_) // it may have gone by now
                if (each.get() == borrowed && !each->is_begun)
                    begin(*each);
        });
    }

    void begin(SimulatedClient& client) {
        static const ChannelSettings kDefault;
        client.is_begun = true;
        std::map<std::string, uint64_t> starts;
        client.told = expected_start(*broker_, client.wish, starts);
        client.session = std::make_unique<Session>(ledger_, clock_, broker_->pushed().epoch,
                                                   client.wish.connection, client.told, head_,
                                                   std::move(starts));
        for (const ChannelSettings*& settings : client.wish.settings)
            settings = &kDefault;
        if (client.wish.encoding->carries_unstored()) {
            auto stream = std::make_unique<StreamSubscriber>(client.sink, client.wish, "");
            client.stream = stream.get();
            client.subscriber = std::move(stream);
            client.stream->begin(client.wish);
        } else {
            PollWish poll;
            poll.may_wait = chance(70);
            poll.is_retained_due = client.wish.since.kind != Since::Kind::After;
            auto subscriber =
                std::make_unique<PollSubscriber>(client.sink, client.wish, std::move(poll));
            client.poll = subscriber.get();
            client.subscriber = std::move(subscriber);
            client.poll->begin(Wish(client.wish));
        }
        judge(client);
    }

    // ---- judgement

    void blame(const std::string& what) {
        if (fault_.empty())
            fault_ = what;
    }
    void judge() {
        for (const auto& each : clients_)
            judge(*each);
    }
    void judge(SimulatedClient& client) {
        if (client.is_begun && fault_.empty())
            fault_ = client.judge(is_roomy_);
    }
    // All sockets open: everybody must come to have everything.
    void calm_down() {
        for (int round = 0; round < 6; ++round)
            for (auto& worker : workers_) {
                deliver(*worker);
                while (worker->hub.flush(5)) {
                }
                for (const auto& each : clients_) {
                    each->sink.room = SIZE_MAX;
                    if (each->is_begun && !each->sink.is_done() &&
                        std::exchange(each->sink.is_blocked, false))
                        each->subscriber->on_writable();
                }
                end_of_turn(*worker);
            }
        for (const auto& each : clients_)
            if (each->is_begun && !each->sink.is_done())
                judge_calm(*each);
        for (const auto& each : clients_) {
            gaps += each->session ? each->session->gaps() : 0;
            messages += each->session ? each->session->messages() : 0;
        }
        for (auto& worker : workers_)
            limits +=
                worker->counters.limit_hits[static_cast<size_t>(Limit::MailboxBytes)].value() +
                worker->counters.limit_hits[static_cast<size_t>(Limit::SlowConsumerLimit)].value();
    }
    void judge_calm(SimulatedClient& client) {
        if (fault_.empty())
            fault_ = client.judge_calm(broker_->pushed());
    }

    std::vector<Encoding*> encodings_of(size_t worker) {
        auto& own = encodings_[worker];
        return {&own[0], &own[1], &own[2]};
    }
    std::vector<Encoding*> encodings() {
        std::vector<Encoding*> all = encodings_of(0);
        for (Encoding* each : encodings_of(1))
            all.push_back(each);
        return all;
    }

    std::mt19937_64 random_;
    FakeClock clock_;
    const bool is_roomy_; // nothing is ever lost, so no gap may be told
    FakeBatchWriter writer_;
    Counters broker_counters_;
    std::unique_ptr<Broker> broker_;
    std::array<std::array<TestEncoding, 3>, 2> encodings_{
        {{{TestEncoding(Use::Websocket), TestEncoding(Use::Sse),
           TestEncoding(Use::Longpoll, false)}},
         {{TestEncoding(Use::Websocket), TestEncoding(Use::Sse),
           TestEncoding(Use::Longpoll, false)}}}};
    std::vector<std::unique_ptr<TestWorker>> workers_;
    std::vector<std::unique_ptr<SimulatedClient>> clients_;
    Ledger ledger_;
    uint64_t head_ = 0;
    size_t joined_ = 0;
    std::string fault_;
};

uint64_t number_from(const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

} // namespace

static void test_worlds(void**) {
    const uint64_t only = number_from("FANHORN_SEED", 0);
    const uint64_t count = only ? 1 : number_from("FANHORN_SOAK", 0) ? 20'000 : 200;
    size_t gaps = 0, messages = 0, limits = 0;
    for (uint64_t i = 0; i < count; ++i) {
        const uint64_t seed = only ? only : i + 1;
        World world(seed);
        const std::string fault = world.run();
        if (!fault.empty())
            std::printf("FANHORN_SEED=%llu: %s\n", static_cast<unsigned long long>(seed),
                        fault.c_str());
        assert_true(fault.empty());
        gaps += world.gaps;
        messages += world.messages;
        limits += world.limits;
    }
    // Or the worlds would prove nothing.
    if (!only) {
        assert_true(messages > 50 * count);
        assert_true(gaps > count);
        assert_true(limits > count);
    }
}

int main() {
    const CMUnitTest tests[] = {cmocka_unit_test(test_worlds)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
