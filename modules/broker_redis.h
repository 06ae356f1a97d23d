// SPDX-License-Identifier: Apache-2.0
// A broker whose order, history and carrying are a Redis server's: several nodes share it.
//
// One thread with a loop has two connections: commands, all of them calls of one script
// (broker_redis.lua), and what the server carries to us. Each message comes once to a node,
// whatever its subscribers, and goes into the boxes of the workers that want it. What the server
// answers and what it carries come over two connections; where their order matters (where a
// subscription begins) the script carries a word to us in the same step, and what comes behind that
// word is what is new.
#pragma once

#include "base/hash.h"
#include "modules/redis_connection.h"
#include "modules/redis_route.h"
#include "relay/broker.h"
#include "relay/presence.h"

#include <latch>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace fanhorn {

class RedisBroker final : public Broker {
  public:
    // Between two tries to reach the server: doubled from the least to the most, jittered.
    static constexpr Millis kLeastPause = 100, kMostPause = 5000;
    // A server that does not come on for so long, from the greeting to being up, is given up.
    static constexpr Millis kComesOnWithin = 5000;
    // Subscriptions that a new server is asked for at once.
    static constexpr size_t kMostJoining = 10'000;
    // A server's clock that differs by less from what we take it for is not heeded.
    static constexpr Millis kClockSlack = 100;

    // `counters` is written by the broker's own thread only. `wall` is this node's clock, for as
    // long as no server has told its own.
    RedisBroker(const BrokerSettings& settings, const Clock& clock, Counters& counters,
                Millis wall = wall_millis());
    ~RedisBroker() override;

    Result<void> start() override;
    void stop() override;
    size_t add_worker(Mailbox& box) override;
    void configure(std::shared_ptr<const Rules> rules, const BrokerLimits& limits) override;
    void publish(std::vector<Draft> drafts,
                 std::function<void(std::vector<Published>)> done) override;
    void subscribe(size_t worker, std::vector<std::string> channels, Since since,
                   std::function<void(Start)> done) override;
    void locate(std::vector<std::string> channels, Since since,
                std::function<void(Start)> done) override;
    void unsubscribe(size_t worker, const std::string& channel) override;
    void read(Stretch stretch, std::function<void(Page)> done) override;
    void remove(const std::string& channel, std::function<void(Removal)> done) override;
    void facts(const std::string& channel,
               std::function<void(std::optional<ChannelFacts>)> done) override;
    void list(std::string_view prefix, std::string_view cursor, size_t limit,
              std::function<void(ChannelList)> done) override;
    bool attend(const std::string& channel, const Attendee& who,
                const ConnectionId& connection) override;
    void depart(const std::string& channel, const std::string& user) override;
    void attendance(const std::string& channel,
                    std::function<void(std::vector<Attendee>)> done) override;
    void on_user_away(UserAway heard) override { away_ = std::move(heard); }
    void send_user_away(const std::string& user, std::function<void(bool)> done) override;
    void mark(ReadMark mark, std::function<void(Marked)> done) override;
    void markers(const std::vector<std::string>& channels, const std::string& user,
                 std::function<void(std::vector<Position>)> done) override;
    Position pushed() const override;
    size_t channel_count() const override;
    bool is_up() const override;
    void tick() override;

  private:
    using Words = std::vector<std::string>;
    using Home = std::function<void(std::function<void()>)>; // runs it where it was asked
    // A worker's end. What it has asked for and not been told is its thread's alone.
    struct Crew {
        Mailbox* box;
        std::unordered_map<std::string, uint32_t> unsettled;
    };
    struct Placing;
    // A channel, or wildcard, that workers of this node want.
    struct Topic {
        std::string name;
        std::string_view key() const { return name; }
        std::optional<Pattern> pattern;
        std::u16string wanted;   // numbers of workers
        uint32_t uses = 0;       // requests that are being placed on it
        uint32_t confirming = 0; // subscriptions of ours that the server has not confirmed
        std::vector<std::shared_ptr<Placing>> waiting; // for that
        Ref<Audience> audience = make_ref<Audience>();
    };
    struct Snapshot {
        std::shared_ptr<const Rules> rules;
        BrokerLimits limits;
    };
    struct Publishing;
    class Reading;
    template <typename T> struct Question;
    template <typename T> using Asked = std::shared_ptr<Question<T>>;
    template <typename T> static Asked<T> question(std::function<void(T)> done);
    enum class Stage : uint8_t { Away, Finding, Greeting, Joining, CatchingUp, Up };

    // To find a channel that a wildcard matches it may look at so many: those begin as it does.
    static constexpr size_t kLooksForOne = 16;
    // So often names are listed for a start before what wildcards matched is given up, and told.
    static constexpr int kMostRounds = 3;

    // Any thread.
    void post(std::function<void()> task);
    Snapshot settings() const;
    // The clock that all nodes share is the server's.
    Millis shared_now() const { return clock_.now() + behind(); }
    Millis behind() const { return behind_.load(std::memory_order_relaxed); }
    static Home home();
    static void append_limits(Words& words, const ChannelSettings* settings);
    Words draft_words(const Draft& draft, const ChannelSettings& settings) const;
    void begin(std::shared_ptr<Placing> placing);
    using Seat = std::pair<std::string, std::string>; // a channel, a user

    std::string joins_record(const ChannelSettings& settings, const std::string& channel,
                             MessageKind kind, const Attendee& who,
                             const ConnectionId& exclude) const;
    void note_attendee(const std::string& channel, const std::string& user,
                       const ConnectionId& exclude);
    void note_who_left();
    static Marked::Status marked_status(std::string_view word);

    // All below: the broker's thread.
    void run(std::latch& ready);
    void run_tasks();
    void finish_turn();
    void expire();
    void on_expired(const RedisReply& reply);
    void say_all_again();
    void say_who_is_here();
    void append_attendee(Words& words, const Rules& rules, const Seat& seat,
                         const ConnectionId& exclude);
    void say(Words words, std::vector<Seat> said);
    void bury(const RedisReply& dead);
    void tell_pushed();
    void look_after();
    void run_parked();
    void make_connections();
    void connect();
    void on_found(const RedisPeer& peer);
    void lose_server(std::string_view reason);
    void on_commands_open();
    void on_carrier_open();
    void on_info(const RedisReply& reply);
    void heed_clock(Millis server, Millis asked_at);
    void join_if_greeted();
    void join_server();
    void join_some();
    void catch_up();
    void on_caught_up(uint64_t epoch, uint64_t head);
    // Calls the script. `answer` gets an error where the server is away, or has too much to do.
    void call(std::string_view command, Words words, const RedisConnection::Answer& answer);
    void on_refusal(std::string_view error);
    void check_epoch(const RedisReply& reply);
    std::string next_word();

    void on_carried(const RedisReply& reply);
    void on_confirmed(std::string_view key, bool is_pattern);
    void on_message(std::string_view key, std::string_view text);
    void on_word(std::string_view text);
    template <typename Mail> void push(uint16_t worker, Mail&& mail);
    void deliver(const std::string& channel, const MessageRef& message);
    void notify(const Topic& topic, Notice::Kind kind, uint64_t seq);
    void lose_record(const std::string& channel, uint64_t seq);
    void end_channel(const std::string& channel, uint64_t seq);
    void on_published(Publishing& work, const RedisReply& reply);
    template <typename Visit> void each_topic_of(const std::string& channel, Visit visit) const;
    uint32_t audience_of(const std::string& channel) const;
    std::string key_of(const Topic& topic) const;
    std::string wanting(bool is_pattern, bool is_wanted) const;
    std::vector<Topic*> confirming_topics(std::string_view key, bool is_pattern) const;

    void place(const std::shared_ptr<Placing>& placing);
    Start::Status use_topics(const std::shared_ptr<Placing>& placing);
    Topic* find_or_make(const Placing& placing, const std::string& name, Start::Status& refused);
    void ask_for(Topic& topic);
    void release_topics(const Placing& placing);
    void drop_if_unused(Topic& topic);
    void place_if_confirmed(const std::shared_ptr<Placing>& placing);
    void list_matched(const std::shared_ptr<Placing>& placing);
    void on_listed(const std::shared_ptr<Placing>& placing, size_t index, const RedisReply& reply);
    bool find_matched(const std::string& wildcard, const Snapshot& settings,
                      const RedisReply& listing, std::vector<std::string>& matched);
    void ask_where(const std::shared_ptr<Placing>& placing);
    void on_placed(const std::shared_ptr<Placing>& placing, const RedisReply& reply);
    void place_by(const std::shared_ptr<Placing>& placing, const RedisReply& reply);
    void settle(Placing& placing);
    void give_up(Placing& placing, Start::Status status);
    static void answer(Placing& placing, Start start);
    Start start_of(const Placing& placing, const RedisReply& reply) const;
    ChannelStart start_channel(const std::string& name, const Since& since, uint64_t epoch,
                               const RedisReply& reply, uint64_t& lowest) const;
    ChannelStart start_wildcard(const Placing& placing, size_t index, const Start& of,
                                const RedisReply& reply, size_t& at, uint64_t& lowest) const;
    MessageRef message_of(std::string_view record, const std::string& channel, Position position,
                          uint64_t n) const;
    ChannelFacts facts_of(const std::string& name, const RedisReply& reply, uint64_t epoch);
    Words facts_words(const std::vector<std::string>& names) const;
    void list_facts(std::vector<std::string> names, size_t limit, const Asked<ChannelList>& asked);

    const BrokerSettings settings_;
    const Clock& clock_;           // of messages
    const SystemClock wire_clock_; // of connections, which wait for nobody's clock
    Counters& counters_;
    const Millis origin_;        // wire_clock_ is ahead of clock_
    std::atomic<Millis> behind_; // the clock that all nodes share is ahead of ours
    std::string base_, inbox_;   // what keys begin with; where words are carried to

    mutable std::mutex mutex_; // guards what follows
    std::shared_ptr<const Rules> rules_;
    BrokerLimits limits_;
    std::vector<std::function<void()>> tasks_;
    Position pushed_;
    std::unique_ptr<Waker> waker_; // while the thread runs

    std::mutex presence_mutex_; // guards:
    PresenceBook presence_;     // of this node
    // Of whom the server is to hear, and which connection is not told that he has come.
    std::map<Seat, ConnectionId> unsaid_;

    std::atomic<bool> is_up_{false};
    std::atomic<size_t> channel_count_{0};
    std::vector<std::unique_ptr<Crew>> crew_; // complete before any request
    std::thread thread_;

    // The broker's thread.
    std::unique_ptr<Loop> loop_;
    std::unique_ptr<RedisRoute> route_;
    RedisPeer peer_;
    std::unique_ptr<RedisConnection> commands_, carrier_;
    bool is_stopping_ = false, is_stopped_ = false;
    std::string told_reason_; // why it is away, as the log has it
    Stage stage_ = Stage::Away;
    std::string run_id_, script_; // of the server; the script's digest
    std::string carrier_run_id_;  // of the server that carries: the same
    bool is_sharded_ = false;     // it has shards, and carries what is for one of them to no other
    uint64_t epoch_ = 0;
    uint64_t seen_ = 0;                // the newest seq that the server has carried to us
    uint64_t known_ = 0;               // or told us
    Position told_;                    // what pushed_ is
    size_t joining_ = 0;               // subscriptions that a new server has to confirm
    std::vector<std::string> to_join_; // and those that it was not asked for yet
    bool is_carrier_full_ = false;     // one could not be asked for
    Millis retry_at_ = 0, pause_ = kLeastPause, asked_at_ = 0;
    Millis progress_at_ = 0; // since then nothing has come of a stage
    static std::string node_name();
    const std::string name_ = node_name(); // ours
    std::string node_ = name_; // under which we say who is here, anew whenever we say all again
    std::string parting_;      // that before, which is to be ended
    bool is_ticking_ = false;
    bool has_lease_ = false; // of that name
    uint64_t ticked_ = 0;    // on the server's clock, in microseconds; 0: never
    UserAway away_;
    std::string word_;    // that catching up waits for
    std::string awaited_; // the word whose answer the carrier waits for
    uint64_t words_ = 0;
    NamedSet<Topic> topics_;
    std::vector<Topic*> wildcards_;                                     // of them
    std::vector<Mailbox*> filled_;                                      // and not woken
    std::unordered_map<std::string, std::shared_ptr<Placing>> placing_; // by their words
    std::vector<std::function<void()>> parked_;                         // until the server is back
};

} // namespace fanhorn
