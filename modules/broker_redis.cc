// SPDX-License-Identifier: Apache-2.0
// The Redis broker: its thread, what it is asked, and publishing.
#include "modules/broker_redis_placing.h"

#include "base/log.h"
#include "base/random.h"
#include "modules/idempotency.h"
#include "modules/message_record.h"

#include <algorithm>

#include <pthread.h>
#include <signal.h>

namespace fanhorn {

namespace {

constexpr Millis kLookMs = 100;
constexpr size_t kWordsOfAResult = 5;

std::string random_name() {
    return std::to_string(random_epoch()) + std::to_string(random_below(1'000'000));
}

} // namespace

RedisBroker::RedisBroker(const BrokerSettings& settings, const Clock& clock, Counters& counters,
                         Millis wall)
    : settings_(settings), clock_(clock), counters_(counters),
      origin_(wire_clock_.now() - clock.now()), behind_(wall - clock.now()) {}

RedisBroker::~RedisBroker() {
    stop();
}

Result<void> RedisBroker::start() {
    base_ = settings_.prefix;
    if (settings_.mode == RedisMode::Cluster)
        base_ = "{" + base_ + "}"; // all keys in one slot
    if (const auto url = parse_redis_url(settings_.url); url && !url->database.empty())
        base_ += url->database + ":"; // what is carried knows of no databases
    inbox_ = base_ + "n:" + random_name();
    std::latch ready(1);
    thread_ = std::thread([this, &ready] { run(ready); });
    ready.wait();
    return {};
}

void RedisBroker::stop() {
    if (!thread_.joinable())
        return;
    post([this] { is_stopping_ = true; });
    thread_.join();
}

void RedisBroker::run(std::latch& ready) {
    sigset_t all;
    sigfillset(&all); // signals are the main thread's
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pthread_setname_np(pthread_self(), "fanhorn/redis");
    loop_ = std::make_unique<Loop>();
    waker_ = std::make_unique<Waker>(*loop_, [this] { run_tasks(); });
    make_connections();
    {
        const Ticker ticker(*loop_, kLookMs, [this] { look_after(); });
        connect();
        ready.count_down();
        while (!is_stopping_) {
            loop_->turn(Loop::Wait::ForEvents);
            finish_turn();
        }
    }
    stage_ = Stage::Away;
    is_stopped_ = true;
    commands_->close();
    carrier_->close();
    commands_ = nullptr;
    carrier_ = nullptr;
    route_ = nullptr;
    std::lock_guard lock(mutex_);
    waker_ = nullptr;
    loop_ = nullptr;
}

void RedisBroker::post(std::function<void()> task) {
    std::lock_guard lock(mutex_);
    if (!waker_)
        return;
    tasks_.push_back(std::move(task));
    if (tasks_.size() == 1)
        waker_->wake();
}

void RedisBroker::run_tasks() {
    std::vector<std::function<void()>> tasks;
    {
        std::lock_guard lock(mutex_);
        tasks.swap(tasks_);
    }
    for (const auto& task : tasks)
        task();
}

// What was pushed is told, then who has it is woken; what was asked goes out.
void RedisBroker::finish_turn() {
    tell_pushed();
    for (const Mailbox* box : filled_)
        box->wake();
    filled_.clear();
    commands_->flush();
    carrier_->flush();
}

void RedisBroker::tell_pushed() {
    if (told_ == Position{epoch_, seen_})
        return;
    std::lock_guard lock(mutex_);
    pushed_ = told_ = {epoch_, seen_};
}

// ---- any thread

RedisBroker::Snapshot RedisBroker::settings() const {
    std::lock_guard lock(mutex_);
    return {rules_, limits_};
}

// To the worker that calls; where none does, at once.
RedisBroker::Home RedisBroker::home() {
    return [box = Mailbox::of_this_thread()](std::function<void()> task) {
        if (box)
            box->post(std::move(task));
        else
            task();
    };
}

size_t RedisBroker::add_worker(Mailbox& box) {
    crew_.push_back(std::make_unique<Crew>(Crew{&box, {}}));
    return crew_.size() - 1;
}

void RedisBroker::configure(std::shared_ptr<const Rules> rules, const BrokerLimits& limits) {
    std::lock_guard lock(mutex_);
    rules_.swap(rules);
    limits_ = limits;
}

Position RedisBroker::pushed() const {
    std::lock_guard lock(mutex_);
    return pushed_;
}

size_t RedisBroker::channel_count() const {
    return channel_count_.load(std::memory_order_relaxed);
}

bool RedisBroker::is_up() const {
    return is_up_.load(std::memory_order_relaxed);
}

void RedisBroker::append_limits(Words& words, const ChannelSettings* settings) {
    if (!settings) // it stays as others have settled it
        return static_cast<void>(words.insert(words.end(), 4, ""));
    words.push_back(std::to_string(settings->history));
    words.push_back(std::to_string(settings->history_bytes));
    words.push_back(std::to_string(settings->history_ttl));
    words.push_back(settings->pattern);
}

RedisBroker::Words RedisBroker::draft_words(const Draft& draft,
                                            const ChannelSettings& settings) const {
    const Millis now = shared_now();
    Words words = {draft.channel, draft.store ? "1" : "0", draft.retain ? "1" : "0",
                   draft.idempotency_key, ""};
    if (!draft.idempotency_key.empty()) {
        const Digest digest = content_digest(draft);
        words.back().assign(reinterpret_cast<const char*>(digest.data()), digest.size());
    }
    append_limits(words, &settings);
    words.push_back(std::to_string(draft.ttl ? now + draft.ttl : 0));
    words.push_back(std::to_string(sizeof(Message) + draft.channel.size() + draft.payload.size() +
                                   draft.content_type.size() + draft.event.size() +
                                   draft.tags.size()));
    words.push_back(encode_record(draft, now));
    return words;
}

void RedisBroker::publish(std::vector<Draft> drafts,
                          std::function<void(std::vector<Published>)> done) {
    const Snapshot snapshot = settings();
    auto work = std::make_shared<Publishing>();
    work->results.resize(drafts.size());
    work->words.push_back(std::to_string(snapshot.limits.channels));
    work->words.push_back(std::to_string(IdempotencyKeys::kMaxKeys));
    for (size_t i = 0; i < drafts.size(); ++i) {
        const ChannelSettings* settings = snapshot.rules->settings_for(drafts[i].channel);
        if (!settings) {
            work->results[i].status = Published::Status::NoSection;
            continue;
        }
        Words words = draft_words(drafts[i], *settings);
        std::move(words.begin(), words.end(), std::back_inserter(work->words));
        work->sent.emplace_back(i, drafts[i].channel);
    }
    if (work->sent.empty())
        return done(std::move(work->results));
    if (!is_up()) {
        for (const auto& [index, channel] : work->sent)
            work->results[index].status = Published::Status::Down;
        return done(std::move(work->results));
    }
    work->done = std::move(done);
    work->home = home();
    post([this, work] {
        call("publish", std::move(work->words),
             [this, work](const RedisReply& reply) { on_published(*work, reply); });
    });
}

static Published::Status status_of(std::string_view word) {
    static constexpr std::pair<std::string_view, Published::Status> kWords[] = {
        {"published", Published::Status::Published},
        {"replayed", Published::Status::Replayed},
        {"mismatch", Published::Status::Mismatch},
        {"full", Published::Status::ChannelsFull},
    };
    for (const auto& [text, status] : kWords)
        if (word == text)
            return status;
    return Published::Status::Down;
}

void RedisBroker::on_published(Publishing& work, const RedisReply& reply) {
    const uint64_t epoch = reply[0].number();
    for (size_t i = 0; i < work.sent.size(); ++i) {
        const auto& [index, channel] = work.sent[i];
        Published& result = work.results[index];
        const size_t at = kWordsOfAResult * i + 1;
        result.status = status_of(reply[at].text());
        if (result.status == Published::Status::ChannelsFull)
            counters_.hit(Limit::Channels, channel);
        if (result.status == Published::Status::Down ||
            result.status == Published::Status::ChannelsFull)
            continue;
        result.position = {epoch, reply[at + 1].number()};
        result.n = reply[at + 2].number();
        known_ = std::max(known_, result.position.seq);
        if (result.status == Published::Status::Published)
            result.subscribers = audience_of(channel);
        result.is_heard = reply[at + 3].text() == "1";
        if (reply[at + 4].text() == "1")
            counters_.hit(Limit::IdempotencyKeys, channel);
    }
    check_epoch(reply);
    work.home([done = std::move(work.done), results = std::move(work.results)]() mutable {
        done(std::move(results));
    });
}

uint32_t RedisBroker::audience_of(const std::string& channel) const {
    uint32_t count = 0;
    each_topic_of(channel, [&](const Topic& topic) { count += topic.audience->total(); });
    return count;
}

namespace {
std::unique_ptr<Broker> create(const BrokerSettings& settings, const Clock& clock,
                               Counters& counters) {
    return std::make_unique<RedisBroker>(settings, clock, counters);
}
} // namespace

extern const BrokerModule broker_redis;
const BrokerModule broker_redis = {"redis", create};

} // namespace fanhorn
