// SPDX-License-Identifier: Apache-2.0
// A broker whose order is that of a stream in NATS JetStream: several nodes share it.
//
// JetStream has no scripts that do several things in one step, as a Redis server has. So the stream
// is the sequencer alone: what is to happen is one entry in it (modules/nats_entry.h), each node
// reads all of it in order, and does the same to the same state, which is the local broker's. A
// publisher is answered when his entry has come back; seqs are counted from what the epoch settles,
// by the kinds of entries alone. What is kept is in every node's memory, and what is published
// goes to every node.
//
// Two threads. The follower connects, loads the state, and applies what the stream brings; the
// sender publishes what workers ask for, and now and then a snapshot of the state, before which the
// stream may be cut. libnats has others, which run nothing of ours.
#pragma once

#include "modules/broker_local.h"
#include "modules/nats_entry.h"
#include "modules/nats_link.h"

#include <condition_variable>
#include <deque>
#include <set>
#include <thread>
#include <unordered_map>

namespace fanhorn {

class NatsBroker final : public LocalBroker {
  public:
    // Between two tries to reach the servers: doubled from the least to the most, jittered.
    static constexpr Millis kLeastPause = 100, kMostPause = 5000;
    // A node that renews nothing for so long has let its users go; it does so three times as often.
    static constexpr Millis kLease = 15'000;
    // Of entries that wait to come back, as many as settings have `commands`; beyond, publishers
    // are answered with Down.
    static constexpr size_t kMostBytesUnderWay = 64 << 20;
    // What is said of users is said again, or refused, in so many entries at once.
    static constexpr size_t kMostSaid = 256;
    // A snapshot of which nothing comes for so long has been given up by its writer.
    static constexpr Millis kSnapshotWithin = 30'000;
    // One that did not come to be is tried again so much later.
    static constexpr Millis kSnapshotAgain = 5'000;

    struct Seams {
        uint64_t slack_bytes = 64 << 20; // of the stream, beyond twice what is kept
        Millis lease = kLease;
        std::function<Millis()> wall = wall_millis;
    };
    // A move of this node's clock that is less is not heeded.
    static constexpr Millis kClockSlack = 100;

    NatsBroker(const BrokerSettings& settings, const Seams& seams, const Clock& clock,
               Counters& counters);
    ~NatsBroker() override;

    Result<void> start() override;
    void stop() override;
    void publish(std::vector<Draft> drafts,
                 std::function<void(std::vector<Published>)> done) override;
    void subscribe(size_t worker, std::vector<std::string> channels, Since since,
                   std::function<void(Start)> done) override;
    // Behind what this node has said of its users by then.
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
    // As locate.
    void attendance(const std::string& channel,
                    std::function<void(std::vector<Attendee>)> done) override;
    void on_user_away(UserAway heard) override { away_ = std::move(heard); }
    void send_user_away(const std::string& user, std::function<void(bool)> done) override;
    void mark(ReadMark mark, std::function<void(Marked)> done) override;
    void markers(const std::vector<std::string>& channels, const std::string& user,
                 std::function<void(std::vector<Position>)> done) override;
    Keeps keeps() const override { return Keeps::Elsewhere; }
    // The stream gives positions, and each node counts along to its end.
    void retire() override {}
    Position pushed() const override;
    bool is_up() const override { return is_up_; }
    void tick() override;

  private:
    using Kind = NatsEntry::Kind;
    using Home = std::function<void(std::function<void()>)>; // runs it where it was asked
    using Seat = std::pair<std::string, std::string>;        // a channel, a user
    // What became of an entry.
    struct Outcome {
        bool is_applied = false;
        Published published{.status = Published::Status::Down};
        Removal removal = Removal::Down;
        Marked marked{Marked::Status::Down, {}};
    };
    // Some entries that were asked for together.
    struct Command {
        std::function<void(size_t index, const Outcome& outcome)> settle; // null: nobody cares
        std::function<void()> answer;                                     // when all are settled
        std::atomic<size_t> open{0}; // settled by whichever thread has it
        Home home;
    };
    struct Waiting {
        std::shared_ptr<Command> command;
        size_t index = 0, bytes = 0;
        Millis since = 0;
    };
    struct Outgoing {
        std::string_view topic;
        std::string bytes;
        uint64_t request = 0;
    };
    struct Settled {
        uint64_t request = 0;
        Outcome outcome;
    };
    // What applying some entries leaves for when the lock is gone.
    struct Turn {
        After after;
        Garbage garbage;
        std::vector<Settled> settled;
        std::vector<std::pair<std::string, Millis>> away;
        Millis stored_at = 0; // the entry, by the server's clock
    };
    // A node, as the stream tells of it.
    struct Node {
        uint64_t renewed = 0; // at that place in the stream
        Millis seen_at = 0;
        bool is_dead = false;
        std::set<Seat> seats;
    };
    struct User {
        std::string info;
        std::map<std::string, uint32_t> nodes; // his connections there
    };
    struct Snapshot;
    class PartLoader;

    // Any thread.
    static std::string random_name();
    static Home home();
    Millis shared_now() const { return clock_.now() + behind(); }
    Millis behind() const { return behind_.load(std::memory_order_relaxed); }
    NatsEntry entry(Kind kind) const;
    // Down at once where too much is under way. Not under mutex_.
    void submit(std::vector<NatsEntry> entries, const std::shared_ptr<Command>& command,
                std::string_view topic = "log");
    void count_full();
    void settle(uint64_t request, const Outcome& outcome);
    static void settle_one(const Waiting& waiting, const Outcome& outcome);
    void on_refused(uint64_t request, std::string_view reason);
    template <typename T>
    void ask(NatsEntry entry, std::function<void(T)> done, T (*pick)(const Outcome&));
    // Under mutex_.
    std::optional<Marked> judge_mark(const ReadMark& mark) const;
    std::vector<Published> admit(const std::vector<Draft>& drafts);
    void note(const std::string& channel, const std::string& user, const ConnectionId& exclude);
    void note_heard(const std::vector<std::string>& channels);
    void tell(const std::string& channel, MessageKind kind, const Attendee& who,
              const ConnectionId& exclude) override;
    uint64_t epoch_of(uint64_t seq) const;
    bool is_beyond(const Since& since) const;
    bool may_begin(const Since& since) const;
    // Runs it when all that is in the stream by now has been applied.
    void behind_all(std::function<void()> task);
    // Runs it when what has been said by now has come back.
    void behind_said(std::function<void()> task);

    // The sender.
    void send();
    bool wait_for_work();
    bool send_some();
    void say_who_is_here();
    NatsEntry seat_entry(const Seat& seat, const ConnectionId& exclude);
    void on_said(bool is_applied, std::vector<Seat> seats, uint64_t covered);
    void bury_the_dead();
    void begin_snapshot();
    void go_on_with_snapshot();
    bool copy_some(std::vector<NatsEntry>& parts);
    void copy_channels(uint64_t begin, std::vector<NatsEntry>& parts);
    void copy_keys(std::string& entries);
    void copy_markers(std::string& entries);
    void copy_seats(std::vector<NatsEntry>& parts);
    void copy_rest(std::string& entries);
    NatsEntry snapshot_end() const;
    NatsEntry part(std::string_view what, std::string text, uint64_t at) const;
    void send_parts(std::vector<NatsEntry> parts);
    void on_part(uint64_t begin, bool is_applied);
    void end_snapshot(NatsEntry end);
    void purge();

    // The follower.
    void follow();
    Result<void> open();
    Result<void> check_log(const NatsStream& stream, bool& is_continued);
    Result<void> load(const NatsStream& stream);
    Result<void> load_snapshot(const NatsStream& stream);
    Result<void> load_parts(const NatsEntry& end);
    bool load_part(const NatsEntry& part);
    Result<void> catch_up(uint64_t last);
    Result<void> settle_epoch(const NatsStream& stream);
    bool needs_epoch(const NatsStream& stream) const;
    NatsEntry epoch_entry(const NatsStream& stream) const;
    void reset();
    void finish_load();
    void come_up();
    Result<void> look_after();
    void renew();
    void look_at_leases();
    void lose(std::string_view reason);
    void pause();
    bool is_stopping();
    void apply(const std::vector<NatsRecord>& records);

    // Under mutex_, by the follower.
    void apply(const NatsRecord& record, Turn& turn);
    void apply(NatsEntry& entry, uint64_t seq, Turn& turn, Outcome& outcome);
    void apply_epoch(const NatsEntry& entry);
    void apply_message(NatsEntry& entry, uint64_t seq, Turn& turn, Published& published);
    void apply_removal(const NatsEntry& entry, uint64_t seq, Turn& turn, Removal& removal);
    void apply_mark(NatsEntry& entry, uint64_t seq, Turn& turn, Marked& marked);
    Node& renewed(const std::string& name);
    void apply_seat(const NatsEntry& entry, uint64_t seq, Turn& turn);
    void seat(const NatsEntry& entry, uint64_t seq, Turn& turn);
    void unseat(const NatsEntry& entry, uint64_t seq, Turn& turn);
    void apply_burial(const NatsEntry& entry);
    void apply_away(const NatsEntry& entry, Turn& turn);
    void apply_begin(const NatsEntry& entry);
    void apply_end(const NatsEntry& entry);
    void tell_now(const std::string& channel, MessageKind kind, const Attendee& who,
                  const ConnectionId& exclude, uint64_t seq, Turn& turn);
    uint32_t place(Channel& channel, const MessageRef& message, Turn& turn);
    Channel* channel_of(const std::string& name, uint64_t seq, Published::Status& refused);
    MessageRef message_of(const NatsEntry& entry, const std::string& channel, uint64_t seq,
                          uint64_t n) const;
    bool is_in_snapshot(const std::string& channel, uint64_t seq) const;
    bool is_repeat(const NatsEntry& entry, uint64_t seq, Published& published);
    void remember_key(const NatsEntry& entry, uint64_t seq, uint64_t n);
    bool is_heard(const std::string& channel) const;
    void lose_all(uint64_t seq);
    void note_hole(uint64_t next);
    void say_all_again();
    void tell_pushed();
    void nudge();
    void heed_clock();

    const BrokerSettings settings_;
    const uint64_t slack_bytes_;
    const Millis lease_, renews_every_;
    const SystemClock wire_clock_; // of the connection and of leases, which wait for nobody's clock
    const std::function<Millis()> wall_;
    const Millis origin_;        // wire_clock_ is ahead of clock_
    std::atomic<Millis> behind_; // the clock that all nodes share is ahead of ours
    const std::string self_;     // the name of this process in the stream
    NatsPeer peer_;
    std::string fault_; // why it cannot start
    UserAway away_;

    // Under mutex_, as the local broker's own.
    uint64_t applied_ = 0;   // the place in the stream of the last entry that was; 0: none
    uint64_t seen_ = 0;      // the newest seq that anybody saw here
    size_t last_hash_ = 0;   // of the bytes of that entry
    uint64_t log_bytes_ = 0; // of the stream, about
    std::string server_;     // on which the epoch began
    std::vector<std::pair<uint64_t, uint64_t>> epochs_; // from that seq on: that one
    bool is_loading_ = true, has_loaded_ = false;
    bool is_cut_ = false; // what the stream began with was gone when we came, without a snapshot
    uint64_t unknown_below_ = 0;                // so that seqs below this one mean nothing
    std::vector<std::function<void()>> parked_; // until it is loaded
    std::map<std::string, std::map<std::string, User>> people_; // by channel; "": who is listening
    std::map<std::string, Node> nodes_;
    std::string node_;                    // under which we say who is here
    std::map<Seat, ConnectionId> unsaid_; // and which connection is not told that he has come
    uint64_t noted_ = 0, said_ = 0;       // how often; up to which of them all has come back
    std::vector<std::pair<uint64_t, std::function<void()>>> behind_said_;
    bool is_saying_ = false, is_burying_ = false; // some of it is under way
    std::string parting_;                         // the name before node_, which is to be ended
    std::vector<std::string> to_bury_;
    std::string snapshot_writer_; // "": nobody
    uint64_t snapshot_begin_ = 0, snapshot_bytes_ = 0;
    uint64_t least_bytes_ = 0;                       // of the stream, behind the last snapshot
    Millis snapshot_at_ = 0, snapshot_asked_at_ = 0; // when something of it came; or we began one
    std::unique_ptr<Snapshot> snapshot_;             // that is ours
    Millis least_lag_ = INT64_MAX; // from the server's clock to when we applied it

    mutable std::mutex position_mutex_;
    Position position_;

    std::mutex queue_mutex_; // guards:
    std::condition_variable is_wanted_;
    std::shared_ptr<NatsLink> link_; // null: away
    std::deque<Outgoing> queue_;
    std::map<uint64_t, Waiting> waiting_; // by their requests
    size_t bytes_under_way_ = 0;
    uint64_t purge_before_ = 0; // that place in the stream; 0: nothing
    bool is_nudged_ = false, is_stopping_ = false;

    std::atomic<bool> is_up_{false};
    std::atomic<size_t> max_entry_{0}; // bytes
    std::atomic<uint64_t> next_request_{1};
    std::thread follower_, sender_;

    // The follower's own.
    std::shared_ptr<NatsLink> stream_; // link_, and before it is up
    std::string told_reason_;
    bool is_suspect_ = false;    // the stream is not the one that was applied
    uint64_t suspect_epoch_ = 0; // its epoch then
    Millis pause_ = kLeastPause, renewed_at_ = 0, refused_at_ = 0;
    std::unordered_map<std::string, uint64_t, KeyedHash, std::equal_to<>> loaded_at_;
};

} // namespace fanhorn
