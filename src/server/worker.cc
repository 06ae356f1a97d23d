// SPDX-License-Identifier: Apache-2.0
#include "server/worker.h"

#include "base/log.h"
#include "server/socket_connection.h"

#include <csignal>
#include <pthread.h>

namespace fanhorn {

namespace {

constexpr Millis kTickMs = 200;
constexpr size_t kReadBufferBytes = 64 << 10, kStreamBufferBytes = 16 << 10;
// Sending goes on so long before the sockets are looked at again; the clock is looked at after
// so many sends.
constexpr int64_t kFlushMicros = 1000;
constexpr size_t kFlushesPerLook = 128;

// All sinks of a worker are its connections.
class RingWriter final : public BatchWriter {
  public:
    explicit RingWriter(Ring& ring) : ring_(ring) {}

    void write(std::span<Sink* const> sinks, iovec piece, std::span<ssize_t> results) override {
        for (Sink* sink : sinks)
            if (const int fd = static_cast<Connection*>(sink)->plain_socket(); fd >= 0)
                ring_.add(fd, piece);
        auto sent = ring_.run().begin();
        for (size_t i = 0; i < sinks.size(); ++i) {
            auto& connection = *static_cast<Connection*>(sinks[i]);
            results[i] = connection.plain_socket() >= 0 ? connection.on_sent(*sent++)
                                                        : connection.write(&piece, 1);
        }
    }

  private:
    static_assert(kMax <= Ring::kBatch);
    Ring& ring_;
};

} // namespace

Worker::Worker(Shared& shared, size_t number, std::shared_ptr<const Config> config)
    : shared_(shared), number_(number), loop_(std::make_unique<Loop>()),
      mailbox_(config->limits.mailbox_bytes, [this] { wake(); }), hub_(shared.clock, counters_),
      publisher_(directory_, counters_, shared.memory, shared.observer), control_(directory_),
      read_buffer_(kReadBufferBytes), stream_buffer_(kStreamBufferBytes), handshakes_(counters_),
      users_(shared.user_counts, shared.observer), inquiries_(*loop_, shared.clock, counters_) {
    inquiries_.set_config(*config);
    waker_ = std::make_unique<Waker>(*loop_, [this] { deliver(); });
    ticker_ = std::make_unique<Ticker>(*loop_, kTickMs, [this] { tick(); });
    hub_.set_observer(shared.observer);
    hub_.configure(std::make_shared<ConfigRules>(config));
    directory_.set_config(std::move(config));
    for (const auto& named : shared_.brokers)
        directory_.add_broker(named->name, hub_.add_broker(*named->broker, mailbox_));
    for (const TransportModule* module : transport_modules())
        transports_.push_back(module->create());
}

Worker::~Worker() {
    CHECK(!thread_.joinable());
}

void Worker::forget_mail() {
    Mailbox::Batch batch;
    mailbox_.take(batch);
}

Result<void> Worker::add_listener(NewListener listener) {
    if (auto sent = handoff_.send(std::move(listener.socket)); !sent)
        return sent;
    const auto shared = std::make_shared<NewListener>(std::move(listener));
    post([this, shared] {
        shared->socket = handoff_.receive();
        if (shared->socket)
            open(std::move(*shared));
        else
            log_event(LogLevel::Error, "listener_not_opened",
                      {{"address", shared->key}, {"reason", "no descriptor left"}});
    });
    return {};
}

void Worker::start(const ServerSettings& settings, std::latch& parted) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all); // signals are the main thread's
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this, descriptors = settings.descriptors, use_ring = settings.io_uring,
                           &parted] { run(descriptors, use_ring, parted); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Worker::join() {
    if (thread_.joinable())
        thread_.join();
}

Transport* Worker::transport(std::string_view name) const {
    for (const auto& each : transports_)
        if (each->name() == name)
            return each.get();
    return nullptr;
}

// ---- the loop

// Any thread. One's own mail needs no system call: the turn looks into the box before it ends.
void Worker::wake() {
    if (id_.load(std::memory_order_relaxed) == std::this_thread::get_id())
        has_own_mail_ = true;
    else
        waker_->wake();
}

void Worker::run(Descriptors descriptors, bool use_ring, std::latch& parted) {
    id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    mailbox_.serve_this_thread();
    pthread_setname_np(pthread_self(), ("fanhorn/w" + std::to_string(number_)).c_str());
    if (descriptors == Descriptors::Worker)
        if (auto owned = own_descriptor_table(); !owned)
            log_event(LogLevel::Error, "descriptor_table_shared", {{"reason", owned.error()}});
    parted.count_down();
    reserve_ = std::make_unique<DescriptorReserve>(
        descriptors == Descriptors::Process ? &shared_.missing_reserve : nullptr);
    if (use_ring)
        set_up_ring();
    while (!is_stopping_)
        turn();
    for (Connection* each = connections_.front(); each; each = connections_.front())
        each->drop();
    while (Connection* connection = leaving_.front())
        connection->drop();
    reap();
    inquiries_.close();
    listeners_.clear();
    reserve_ = nullptr;
    hub_.set_batch_writer(nullptr); // here: the ring's number is one of this thread's table
    batch_writer_ = nullptr;
    answers_.set_ring(nullptr);
    ring_ = nullptr;
}

// On its own thread: the ring takes descriptors by the numbers of that thread's table.
void Worker::set_up_ring() {
    ring_ = Ring::make();
    if (!ring_)
        return log_event(LogLevel::Info, "io_uring_unavailable", {{"worker", number_}});
    batch_writer_ = std::make_unique<RingWriter>(*ring_);
    hub_.set_batch_writer(batch_writer_.get());
    answers_.set_ring(ring_.get());
}

bool Worker::has_more() const {
    return hub_.has_due() || !again_.empty() || has_own_mail_ || inquiries_.has_answers() ||
           !handshakes_.is_empty() || !multiplexers_.empty();
}

void Worker::turn() {
    loop_->turn(has_more() ? Loop::Wait::No : Loop::Wait::ForEvents);
    running_.swap(again_);
    for (Connection* connection : running_)
        if (connection)
            connection->read_on();
    running_.clear();
    inquiries_.run();
    if (!handshakes_.is_empty())
        go_on_with_handshakes();
    // What this turn published on this worker goes out in it.
    deliver();
    if (hub_.has_due())
        flush();
    flush_multiplexed();
    reap();
    if (freeze_)
        hold_still();
}

void Worker::go_on_with_handshakes() {
    deliver();
    handshakes_.run(config().limits.handshakes, kFlushMicros, [this] { return hub_.has_due(); });
}

void Worker::flush() {
    const int64_t from = monotonic_micros();
    int64_t now = from;
    answers_.open();
    while (hub_.flush(kFlushesPerLook) && now - from < kFlushMicros) {
        answers_.run();
        now = monotonic_micros();
    }
    answers_.close();
    counters_.flush.observe(monotonic_micros() - from);
}

// What this lets their streams write goes out in the next turn.
void Worker::flush_multiplexed() {
    decltype(multiplexers_) due;
    due.splice_back(multiplexers_);
    while (Multiplexer* each = due.pop_front())
        each->flush();
}

// Whether there was something.
bool Worker::deliver() {
    has_own_mail_ = false;
    // Read before the box is emptied: everything up to there is in the box.
    const std::vector<Position> pushed = hub_.pushed();
    mailbox_.take(batch_);
    if (batch_.since_micros)
        counters_.mailbox.observe(monotonic_micros() - batch_.since_micros);
    const bool has_mail = batch_.since_micros != 0;
    hub_.deliver(batch_, pushed);
    return has_mail;
}

void Worker::reap() {
    answered_.clear();
    while (Connection* connection = dead_.pop_front()) {
        leave(*connection);
        delete connection;
        --connection_count_;
        shared_.connections.fetch_sub(1, std::memory_order_relaxed);
    }
    hub_.reap();
    inquiries_.reap();
}

void Worker::tick() {
    const Millis now = this->now();
    deadlines_.run(now, [](Connection& connection) { connection.on_deadline(); });
    expiries_.run(wall_millis(), [](Standing& standing) { standing.connection.on_expired(); });
    reserve_->refill();
    for (const auto& listener : listeners_)
        if (listener->acceptor)
            listener->acceptor->tick();
    rates_.tick(now);
    inquiries_.tick();
    hub_.tick(config().limits.send_timeout);
    if (shed_rounds_ != shared_.memory.rounds())
        shed_readers();
    if (is_draining())
        drain_some();
    else
        end_aged();
    log_tell_repeats();
}

std::optional<http::Problem> Worker::limit_publish(const ChannelSettings& settings, Tally tally,
                                                   const Connection& from, std::string_view user) {
    if (!settings.publish_rate.is_limited())
        return std::nullopt;
    const std::string client =
        tally == Tally::Connection ? from.carrier_name() : network_key(from.client());
    const Millis wait = rates_.take({.section = settings.pattern, .client = client, .user = user},
                                    settings.publish_rate, now());
    if (wait == 0)
        return std::nullopt;
    counters_.hit(Limit::PublishRate, to_text(from.client()));
    return http::problem("rate_limited", "more than 'publish_rate' allows; the next in " +
                                             std::to_string(wait) + " ms");
}

// Without further words, which they would not take.
void Worker::shed_readers() {
    shed_rounds_ = shared_.memory.rounds();
    constexpr size_t kSome = 8, kMany = 2;
    const bool is_urgent = !shared_.memory.has_room_for_publishes();
    std::vector<Hub::Behind> unread;
    for (Exchange* each = unread_.front(); each; each = unread_.next(*each))
        unread.push_back({each->connection, each->out_pending()});
    const auto furthest = hub_.furthest_behind(is_urgent ? kMany : kSome, std::move(unread));
    for (Sink* sink : furthest) {
        auto& connection = static_cast<Connection&>(*sink);
        counters_.shed(Shed::Reader, to_text(connection.client()));
        connection.drop();
    }
}

// ---- life

void Worker::reload(std::shared_ptr<const Config> config) {
    // Listeners that stay take their new settings; those that are gone accept no more, and their
    // connections go on.
    for (auto& listener : listeners_) {
        const ListenerSettings* found = nullptr;
        for (const ListenerSettings& each : config->listeners)
            for (const Address& address : each.addresses)
                if (listener->acceptor && address.text == listener->key)
                    found = &each;
        if (found)
            listener->settings = *found;
        else
            listener->acceptor = nullptr;
    }
    std::erase_if(listeners_, [](const auto& listener) { return !listener->acceptor; });
    mailbox_.set_capacity(config->limits.mailbox_bytes);
    hub_.configure(std::make_shared<ConfigRules>(config));
    inquiries_.set_config(*config);
    directory_.set_config(std::move(config));
    for (const auto& listener : listeners_)
        bound_silence(*listener);
}

size_t Worker::end_user(const std::string& user, Millis age) {
    return users_.each(user, shared_.clock.now() - age,
                       [](Connection& connection) { connection.send_away(); });
}

void Worker::send_user_away(const std::string& user, Reply reply) {
    struct Job {
        Job(Worker& worker, Reply then) : asker(worker), reply(std::move(then)) {}
        Worker& asker;
        Reply reply;
        std::atomic<size_t> ended{0}, open{0};
        std::atomic<bool> is_everywhere{true};
    };
    auto job = std::make_shared<Job>(*this, std::move(reply));
    const auto close_one = [job] {
        if (--job->open > 0)
            return;
        job->asker.post([job] {
            job->reply(job->is_everywhere
                           ? json_answer("{\"connections\":" + std::to_string(job->ended) + "}")
                           : problem_answer(http::problem(
                                 "broker_down", "a broker is away: other nodes have not heard "
                                                "of it; try again")));
        });
    };
    job->open = shared_.crew.size() + directory_.ends().size();
    for (Worker* worker : shared_.crew)
        worker->post([job, user, worker, close_one] {
            job->ended += worker->end_user(user, 0);
            close_one();
        });
    for (const auto& [name, end] : directory_.ends())
        end->broker->send_user_away(user, [job, close_one](bool is_said) {
            if (!is_said)
                job->is_everywhere = false;
            close_one();
        });
}

} // namespace fanhorn
