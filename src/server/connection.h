// SPDX-License-Identifier: Apache-2.0
// One client's way in and out: HTTP until a transport takes over. What carries its bytes, a socket
// or a stream of HTTP/2, is a class derived from it.
#pragma once

#include "base/net_address.h"
#include "net/socket.h"
#include "relay/stream_subscriber.h"
#include "relay/transport.h"
#include "server/answer.h"
#include "server/commands.h"
#include "server/deadlines.h"
#include "server/exchange.h"
#include "server/routes.h"
#include "server/standing.h"

#include <memory>
#include <string>
#include <string_view>

namespace fanhorn {

class Caller;
struct Question;
struct ListenerEnd;
class Worker;
struct PostedCommand;

// Whether a Content-Type names that media type, whatever its case and parameters.
bool is_media_type(const std::string* content_type, std::string_view wanted);

class Connection : public Client, public Deadline {
  public:
    enum class State : uint8_t {
        Preface,      // it is not known yet what it speaks, or who is behind a proxy
        Multiplexing, // HTTP/2, whose streams are connections of their own
        Idle,         // between requests
        Head,         // a request's head is coming
        Body,         // its body is coming
        Answering,    // somebody else has the request and will reply
        Polling,      // held by a poll
        Streaming,    // WebSocket or SSE
        Flushing,     // the last bytes are on their way
        Lingering,    // all is sent, the peer's rest is read and dropped, so that no reset eats it
        Closed,
    };

    explicit Connection(Ref<ListenerEnd> listener);
    ~Connection() override;

    State state() const { return state_; }

    // Its deadline has come.
    virtual void on_deadline();
    // Goes on reading, see Worker::run_again.
    void read_on() {
        reads_again_ = false;
        read_some();
    }
    // Ends it in a way its client understands, now.
    virtual void go_away(uint32_t retry_ms);
    // Whether it ends by itself from now on, once it was told to go; else it is in the middle of
    // something.
    bool is_leaving() const;
    // The backend sends its user away.
    void send_away();
    // Ends it without further words.
    void drop();
    // Its token has expired.
    void on_expired();

    Hook of_worker;

    // Of the listener that accepted it.
    const std::string& listener_key() const;
    // The socket to which its bytes go as they are; -1: they go by write() only.
    virtual int plain_socket() const = 0;
    // What became of a write to that which a batch did: as write() returns it.
    ssize_t on_sent(ssize_t sent);
    // The same of a poll's answer, which is then over or waits for the socket.
    void on_answer_sent(std::string_view answer, ssize_t sent);
    // As fanhorn::socket_name().
    virtual std::string carrier_name() const = 0;
    // Where whoever it is used for is, as far as trusted proxies tell.
    NetAddress client() const;
    // Whom it itself is from, as far as the PROXY header tells.
    NetAddress peer() const;

    // Sink
    void refuse(Start::Status status) override;
    void answer(std::string head, SegmentRef body) override;
    // Client
    void send_control(std::string_view frame) override;
    void close_with(std::string_view frame) override;
    bool may_publish() const override;
    bool publish(std::string payload, bool is_binary) override;
    bool takes_commands() const override;
    void command(std::string_view text) override;
    // One that came by POST, for this session.
    void run_posted(const PostedCommand& command, const Commands::Say& answer);
    // Whether the connections of its user, where it has one, may have so many channels more.
    bool has_room_for(size_t channels) const;
    Counters& counters() const override;

  protected:
    static constexpr Millis kLingerMs = 5000; // for the peer to hear our last words

    Worker& worker() const;
    const ListenerSettings& listener() const;
    const Ref<ListenerEnd>& listener_end() const { return listener_; }
    void on_writable();
    // The peer will send no more.
    virtual void on_end();
    void read_some();
    void read_in_next_turn();
    void enter(State state);
    void arm(Millis duration);
    void note(Limit limit);
    void set_client(const NetAddress& peer, const NetAddress& client);
    // Answers that what comes is not what is spoken here, and closes.
    void refuse_protocol(const http::Problem& problem);
    // Somebody who waits for an answer may have gone, which the read that follows tells.
    void note_end() {
        if (state_ == State::Polling || state_ == State::Answering)
            peer_ended_ = true;
    }
    bool has_ended() const { return peer_ended_; }
    void set_inbound(std::unique_ptr<Inbound> inbound) { inbound_ = std::move(inbound); }
    Inbound* inbound() const { return inbound_.get(); }

    // Of what carries it:
    virtual std::span<char> read_buffer() const;
    virtual Received receive_some(std::span<char> buffer) = 0;
    virtual void on_broken() { drop(); }
    // Whether nobody can hear an answer any more, as far as is known without reading.
    virtual bool is_cut() const = 0;
    // Whether it holds back bytes that write() has taken.
    virtual bool has_unsent() const = 0;
    // It is closed, and writes and reads no more.
    virtual void on_closed() = 0;
    virtual NetAddress own_peer() const = 0;

  private:
    friend class Handover;

    void leave_unread(bool is_drained);
    void hear(std::span<char> bytes);
    void on_heartbeat();
    void count_channels();
    void say_farewell(const Farewell& farewell);
    bool wants_input() const;
    void take(std::span<char> bytes);

    // connection_peer.cc
    void forget_client();
    void expect_client();
    void find_client();
    std::optional<http::Problem> check_client();

    // connection_http.cc
    void feed(std::span<char> bytes);
    void feed_on(std::span<char> bytes);
    void open_exchange();
    void close_exchange();
    void leave_http(std::span<char> bytes);
    size_t feed_head(std::string_view bytes);
    size_t feed_body(std::string_view bytes);
    void on_head();
    std::optional<http::Problem> check_head();
    std::optional<http::Problem> read_channels();
    void on_request();
    void dispatch();
    std::shared_ptr<Connection*> owner();
    Reply reply();
    void send_answer(const Answer& answer);
    void send_problem(const http::Problem& problem, bool close = false);
    void next_request();
    void flush_out();
    void await_room();
    void close_after_out();
    void answer_health(bool is_ready);
    void answer_metrics();
    void answer_options();

    // connection_pages.cc
    void answer_page();
    void watch_dashboard();

    // connection_publish.cc
    void channel_control();
    std::optional<http::Problem> read_draft(Draft& draft);
    void publish_raw();
    void publish_draft(Draft&& draft);
    void answer_published(const Attempt& attempt);
    void publish_attempts(Attempts attempts);
    void publish_batch();
    void publish_from_client();
    void feed_lines(bool is_done);
    void send_lines(const std::string& lines);
    void refuse_body(const http::Problem& problem);
    void begin_lines();
    void end_lines(bool close);

    // connection_session.cc
    void subscribe_by_body();
    void run_command(std::string_view json);
    void take_command(std::string_view text, const Commands::Say& also);
    void run_parked();
    void run_own(std::string_view text, const Commands::Say& also);
    void begin_user();
    void open_session(Opening&& opening, const Wish& wish);
    Session& make_session(const Wish& wish, std::string head, Encoding* patching);
    bool is_full() const;

    // connection_auth.cc
    std::optional<Question> request_question() const;
    std::optional<Question> token_question(std::string_view command) const;
    void ask_or_dispatch();
    void dispatch_asked();
    std::optional<http::Problem> check_backend();
    std::optional<http::Problem> check_backend_channels();
    const Identity* backend() const;
    Standing& standing();
    void begin_standing(size_t channels);
    void expire_on_time();

    // connection_subscribe.cc
    void subscribe(const std::string* since = nullptr);
    std::optional<http::Problem> check_user(size_t channels);
    const ChannelSettings* user_settings(const std::string& name, std::string_view transport) const;
    void add_user_channel(const Transport& transport, Wish& wish) const;
    void attend(const Wish& wish);
    void answer_with_others(std::string head, const Segment& body);
    void history();
    std::optional<http::Problem> find_channels(Caller& caller, std::vector<std::string>& channels,
                                               std::vector<const ChannelSettings*>& settings);
    Transport* find_transport() const;
    std::variant<Transport*, http::Problem>
    negotiate(const std::vector<const ChannelSettings*>& settings) const;
    std::optional<http::Problem> find_filter(Wish& wish) const;
    void start_subscription(Transport& transport, Wish&& wish);
    void open_poll(Opening&& opening, Wish&& wish);
    bool asks_session() const;
    bool begin_stream(Opening& opening, const Wish& wish);
    void open_stream(Opening&& opening, const Wish& wish);
    void refuse_subscription(const http::Problem& problem);
    void set_use(Use use);

    const Ref<ListenerEnd> listener_;
    std::unique_ptr<Exchange> exchange_; // while there is HTTP going on
    std::unique_ptr<Subscriber> subscriber_;
    std::unique_ptr<Inbound> inbound_;
    std::unique_ptr<Standing> standing_; // of a subscription whose client has one
    State state_ = State::Idle;
    Use use_ = Use::Http;
    bool has_client_ = false; // in Clients: a proxy stands between
    bool is_fresh_ = true;    // no request has come yet
    bool has_unread_ = false; // an edge came while nothing was wanted
    bool peer_ended_ = false;
    bool is_feeding_ = false;
    bool reads_again_ = false; // in the worker's next turn
};

} // namespace fanhorn
