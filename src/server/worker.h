// SPDX-License-Identifier: Apache-2.0
// One event loop on its thread, with all that belongs to it: channels, connections, listeners.
#pragma once

#include "http/response.h"
#include "modules/modules.h"
#include "net/handoff.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/ring.h"
#include "relay/hub.h"
#include "server/accept_pace.h"
#include "server/ages.h"
#include "server/answer_batch.h"
#include "server/client_address.h"
#include "server/connection.h"
#include "server/control.h"
#include "server/deadlines.h"
#include "server/directory.h"
#include "server/freeze.h"
#include "server/handed_record.h"
#include "server/handshakes.h"
#include "server/inquiries.h"
#include "server/multiplexer.h"
#include "server/publisher.h"
#include "server/rate_limiter.h"
#include "server/shared.h"
#include "server/users.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace fanhorn {

class Worker;

// A listening socket of this worker, and what its connections need to know of it. Lives as long as
// one of them does.
struct ListenerEnd final : LocalCount {
    explicit ListenerEnd(Worker& owner) : worker(owner) {}
    Worker& worker;
    ListenerSettings settings;
    std::string key; // address text: how a reload recognises it
    std::unique_ptr<Acceptor> acceptor;
    Descriptor held; // the acceptor's, until begin_serving()
};

// A socket on its way to a worker.
struct NewListener {
    ListenerSettings settings;
    std::string key;
    Descriptor socket;
};

// A command for a session, perhaps of another worker.
struct PostedCommand {
    ConnectionId connection; // the session's
    std::string id;          // the command's
    std::string json;
    std::string user; // its sender; "" for nobody in particular
    Reply reply;
};

// What a client's messages are counted by.
enum class Tally : uint8_t { Connection, Address };

class Worker {
  public:
    Worker(Shared& shared, size_t number, std::shared_ptr<const Config> config);
    ~Worker();

    // The main thread. The worker opens it, in the order of these calls and of post(): the socket
    // reaches it by a handoff, since its table of descriptors may be its own.
    Result<void> add_listener(NewListener listener);
    // Counts `parted` down when its table of descriptors is its own: what other threads open from
    // then on is not in it.
    void start(const ServerSettings& settings, std::latch& parted);
    void join();
    // Behind the join() of all of them, while all are there: what was posted is not run any more.
    void forget_mail();
    // Any thread; `task` runs on the worker.
    void post(std::function<void()> task) { mailbox_.post(std::move(task)); }
    const Counters& counters() const { return counters_; }

    // The worker's own thread, by post():
    void reload(std::shared_ptr<const Config> config);
    void drain(Millis over);
    void stop();
    // At the end of this turn it holds still.
    void freeze(std::shared_ptr<Freeze> freeze) { freeze_ = std::move(freeze); }

    // The main thread, before start(): listeners accept nobody until begin_serving().
    void hold_listeners() { holds_listeners_ = true; }
    // On its own thread, by post(), and by all workers before the first begin_serving(): what
    // another process had is where it was.
    void place_all(std::span<Descriptor> sockets, std::span<const std::optional<Handed>> handed);
    // Those are heard, and others accepted.
    void begin_serving();
    // Its listeners' sockets, with their keys.
    std::vector<std::pair<std::string, int>> listening() const;
    // A listener of that key; null: there is none.
    ListenerEnd* listener(std::string_view key) const;

    // For its connections.
    Loop& loop() { return *loop_; }
    Hub& hub() { return hub_; }
    Counters& counters() { return counters_; }
    const Config& config() const { return directory_.config(); }
    const Directory& directory() const { return directory_; }
    Publisher& publisher() { return publisher_; }
    // Counts a message of a connection's client. A problem when he, or `user` ("": nobody), is over
    // the section's `publish_rate`.
    std::optional<http::Problem> limit_publish(const ChannelSettings& settings, Tally tally,
                                               const Connection& from, std::string_view user);
    // Counts a connection, of which a proxy has named the client, for the client's address, where
    // it does not count for one yet. A problem when that has too many.
    std::optional<http::Problem> count_client(const Connection& connection,
                                              const ListenerSettings& listener);
    const Control& control() const { return control_; }
    Shared& shared() { return shared_; }
    Millis now() const { return shared_.clock.now(); }
    Deadlines<Connection>& deadlines() { return deadlines_; }
    Expiries& expiries() { return expiries_; }
    Users& users() { return users_; }
    Inquiries& inquiries() { return inquiries_; }
    Clients& clients() { return clients_; }
    AnswerBatch& answers() { return answers_; }
    Handshakes& handshakes() { return handshakes_; }
    std::span<char> read_buffer() { return read_buffer_; }
    std::span<char> stream_buffer() { return stream_buffer_; }
    std::span<const std::unique_ptr<Transport>> transports() const { return transports_; }
    Transport* transport(std::string_view name) const;
    bool is_draining() const { return drain_until_ != 0; }
    // Ends the connections of that user, of all workers, and has other nodes do so; answers how
    // many there were here, or that a broker is away, so that others may not have heard of it.
    void send_user_away(const std::string& user, Reply reply);
    // Those of this worker that are older than `age`. How many there were.
    size_t end_user(const std::string& user, Millis age);
    // In the session's own worker, `owner`; answers with the reply.
    void run_command(Worker& owner, PostedCommand command);
    // The connection is closed and is destroyed at the end of the turn.
    void bury(Connection& connection) {
        connection.of_worker.unlink();
        dead_.push_back(connection);
    }
    void bury(std::unique_ptr<Subscriber> subscriber) {
        answered_.push_back(std::move(subscriber));
    }
    // Takes a place for one more connection, for adopt(). False where there is none.
    bool take_place(const ListenerSettings& listener);
    void adopt(Connection& connection, Millis goes_at);
    // One that another process had.
    void place(Connection& connection, const ListenerSettings& listener, Millis goes_at);
    // When a connection that begins now has to go, for its age; 0: never.
    Millis date_to_go(const ListenerSettings& listener) const;
    // It has another one.
    void set_date_to_go(Connection& connection, Millis goes_at) {
        connection.of_worker.unlink();
        connections_.add(connection, goes_at);
    }
    // What its streams have written goes out at the end of the turn.
    void flush_later(Multiplexer& multiplexer) {
        if (!multiplexer.due.is_linked())
            multiplexers_.push_back(multiplexer);
    }
    // The socket is full, and the rest of an answer waits for it.
    void add_unread(Exchange& exchange) {
        if (!exchange.unread.is_linked())
            unread_.push_back(exchange);
    }
    // Reading goes on in the next turn: the connection has had its share of this one.
    void run_again(Connection& connection) { again_.push_back(&connection); }
    // One that was to run again is closed.
    void forget(Connection& connection) {
        std::replace(again_.begin(), again_.end(), &connection, static_cast<Connection*>(nullptr));
    }

  private:
    void run(Descriptors descriptors, bool use_ring, std::latch& parted);
    void set_up_ring();
    void wake();
    void hold_still();
    bool take_all();
    std::vector<Packed> pack_connections(const Freeze& freeze);
    void let_go(const std::vector<Connection*>& connections);
    void accept_on(ListenerEnd& listener, Descriptor socket);
    void turn();
    void go_on_with_handshakes();
    void flush();
    void flush_multiplexed();
    void open(NewListener listener);
    Acceptor::Owner acceptor_owner(ListenerEnd& listener);
    void bound_silence(const ListenerEnd& listener) const;
    bool refuses(const ListenerSettings& listener, int fd);
    void accept(ListenerEnd& listener, int fd, bool is_spare);
    std::optional<Limit> enter(const ListenerSettings& listener, bool is_spare, uint64_t address);
    void leave(const Connection& connection);
    bool find_place(const ListenerSettings& listener);
    void turn_away(const ListenerSettings& listener, int fd, Limit limit, bool is_spare);
    bool deliver();
    void tick();
    void drain_some();
    void end_aged();
    void send_off(Connection& connection, uint32_t retry_ms);
    void shed_readers();
    void reap();
    bool has_more() const;

    Shared& shared_;
    const size_t number_;
    Counters counters_;
    std::unique_ptr<Loop> loop_;
    std::unique_ptr<Waker> waker_;
    std::unique_ptr<Ticker> ticker_;
    Mailbox mailbox_;
    bool has_own_mail_ = false; // put there in this turn, by this worker
    Mailbox::Batch batch_;
    Hub hub_;
    Directory directory_;
    Publisher publisher_;
    RateLimiter rates_;
    AcceptPace accept_pace_;
    Control control_;
    std::vector<std::unique_ptr<Transport>> transports_;
    std::unique_ptr<DescriptorReserve> reserve_; // of this thread's table
    std::vector<Ref<ListenerEnd>> listeners_;
    Handoff handoff_;
    std::vector<char> read_buffer_, stream_buffer_;
    std::unique_ptr<Ring> ring_; // or none
    std::unique_ptr<BatchWriter> batch_writer_;
    AnswerBatch answers_;
    Handshakes handshakes_;
    Deadlines<Connection> deadlines_;
    Users users_;
    Inquiries inquiries_;
    Clients clients_;
    std::unordered_map<const Connection*, uint64_t> addresses_; // of those that count for one
    Expiries expiries_;
    List<Multiplexer, &Multiplexer::due> multiplexers_; // with something to send
    List<Exchange, &Exchange::unread> unread_;
    Ages<Connection, &Connection::of_worker> connections_;
    List<Connection, &Connection::of_worker> leaving_; // told to go
    List<Connection, &Connection::of_worker> dead_;
    std::vector<std::unique_ptr<Subscriber>> answered_; // polls
    std::vector<Connection*> again_, running_;          // some are null
    size_t connection_count_ = 0;
    Millis drain_from_ = 0, drain_until_ = 0; // 0: not draining
    size_t drain_total_ = 0, drain_closed_ = 0;
    uint32_t shed_rounds_ = 0; // of MemoryWatch, that it has done its part of
    bool is_stopping_ = false;
    bool holds_listeners_ = false;
    std::shared_ptr<Freeze> freeze_; // in this turn
    std::thread thread_;
    std::atomic<std::thread::id> id_;
};

} // namespace fanhorn
