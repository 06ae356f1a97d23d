// SPDX-License-Identifier: Apache-2.0
// A subscriber whose channels come and go while it is connected (fanhorn.v1): order, duplicates and
// position are those of each subscription.
#pragma once

#include "base/named_set.h"
#include "base/pool.h"
#include "relay/conflation.h"
#include "relay/subscriber.h"

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

// On the worker's thread. Channels are placed step by step; the replay of a step is paced by the
// reader, while what is live already goes on. A wildcard is subscribed to as a channel is; what
// several subscriptions match is sent once, by the one that comes to it first; again only where
// that one has been told a gap since, or has gone.
class Session final : public Subscriber, public Pooled<Session> {
  public:
    // Channels that are placed together.
    struct Step {
        std::vector<std::string> channels; // and wildcards; none of them has() yet
        std::vector<const ChannelSettings*> settings;
        Since since;
        FilterRef filter;        // null: everything
        bool is_resumed = false; // its client has been told that it is caught up
        bool is_behind = false;  // as HandedPart
        bool is_patched = false; // states may come as patches of the one before; no wildcards
        // The reply, which goes ahead of everything that the channels bring; null: none.
        std::function<std::string(const Start& start)> reply;
    };

    // `head` is the answer's head, as StreamSubscriber has it. Its broker is `wish.end`, for all
    // its channels.
    // `patching`: the encoding of steps that are patched; outlives it.
    Session(Sink& sink, const Wish& wish, std::string head, Encoding* patching = nullptr);
    ~Session() override;

    // Opens with the channels of the wish, perhaps none.
    void begin(const Wish& wish);
    // Instead of begin(), of one that another process had and has greeted: `head` is what its
    // client has not got.
    void resume(const HandedSubscriber& handed);
    std::optional<HandedSubscriber> hand_over() const override;

    void subscribe(Step step);
    // As Hub has it, of the step's filter, if there is one.
    bool has_room_for(const Step& step, size_t limit) const;
    // Nothing of that channel follows. False: there is none.
    bool unsubscribe(std::string_view channel);
    // As unsubscribe(); its client is told, with that code. It has() the channel.
    void end(std::string_view channel, std::string_view code);
    bool has(std::string_view channel) const { return members_.contains(channel); }
    // Whether a channel would be both patched and one of a wildcard's.
    bool is_patched_twice(const Step& step) const;
    size_t channel_count() const { return members_.size(); }
    std::vector<std::string> channels() const; // and wildcards
    // Its broker may be another one only while it has no channels.
    BrokerEnd& end() const { return *end_; }
    void set_end(BrokerEnd& end);

    // Whose connection it is: he attends the channels that are placed from now on.
    void set_user(std::string user, std::string info) {
        user_ = std::move(user);
        info_ = std::move(info);
    }
    const std::string& user() const { return user_; }
    Use use() const { return encoding_.use(); }

    // A JSON object of the protocol, between messages.
    void say(std::string_view json);
    // Of replies that wait for the socket.
    size_t waiting_bytes() const { return outbox_.own_bytes(); }
    // Channels and retained values that its replays have still to look at.
    size_t waiting_parts() const;

    // All its channels have been sent everything; until then the last position for which that held.
    Position position() const override;
    void on_writable() override;
    void flush() override;
    void on_pending(Subscription& subscription) override;
    size_t bytes_behind() const override;
    void on_ending(Subscription& subscription) override;
    void on_stalled(Millis now, Millis send_timeout) override;

  private:
    static constexpr size_t kReplayBytes = 64 << 10; // of one read; at least a message
    static constexpr int kPieces = 64;               // of one write

    Encoding& encoding_of(const Step& step) const {
        return step.is_patched && patching_ ? *patching_ : encoding_;
    }

    struct Placement;
    struct Member : Subscription, Pooled<Member> {
        explicit Member(std::string channel) : name(std::move(channel)) {}
        std::string_view key() const { return name; }
        const std::string name;
        Placement* placement = nullptr; // while it is being placed or replays
        std::unique_ptr<Attendance> attendance;
        std::unique_ptr<const Pattern> pattern; // of a wildcard
        uint64_t sent = 0;                      // it has everything up to that seq
        uint64_t from = 0, to = 0;              // brought, or will be, by the outbox: (from, to]
        bool is_shared = false;                 // others match some of its channels
        bool is_patched = false;                // as its step
        bool is_based = false;                  // it has the state that the next patch is made for
        bool owes_position = false;             // a gap was told, and nothing with an id since
    };
    // A step on its way through history.
    struct Placement {
        std::vector<Member*> members;
        Stretch rest;                    // what to read next
        std::deque<MessageRef> retained; // before that
        bool is_resumed = false;         // as its step
        bool is_read = false;            // what `rest` follows is in the outbox, or was nothing
        bool is_end = false;             // and was all there is
        // Of one who was too slow, where its channel has `conflate`.
        std::unique_ptr<Conflation> conflation;
        bool is_ours = false; // they fell behind: what is missing is an overflow
    };
    // How an answer finds us, or that we are gone.
    struct Line : AtomicCount {
        explicit Line(Session* asker) : session(asker) {}
        Session* session;
    };

    std::optional<HandedPart> handed_part(const Member& member) const;
    bool append_frames(const Member& member, std::string& out) const;

    static Member& member(Subscription& subscription) { return static_cast<Member&>(subscription); }
    void retire_all() override;
    void on_rest_sent(uint64_t seq) override;
    void on_placed(Step& step, const std::vector<Member*>& members, const Start& start);
    void open(const Start& start);
    void refuse(const Step& step, const Start& start);
    void wake();
    void tell(const Step& step, const Start& start);
    void replay(std::unique_ptr<Placement> placement);
    void drop(Member& member);
    void drop(Member& member, Placement& placement);
    void send_retained(Placement& placement);
    void free_gone();

    bool send(Member& member);
    void send_whole(Member& member);
    void sent(Member& member, uint64_t messages, uint64_t seq);
    bool settle(Member& member);
    bool replay_some();
    bool is_done(Placement& placement);
    void read_page(Placement& placement);
    void on_page(Page page);
    void look_ahead(Placement& placement, Page page);
    void take(Placement& placement, Page page);
    bool wants(const Member& member, const Message& message) const;
    Member* find_member(const Placement& placement, std::string_view channel) const;
    void share(Member& member);
    static void share(Member& one, Member& other);
    bool is_brought(const Member& member, const Frame& frame) const;
    bool is_brought(const Member& member, std::string_view channel, uint64_t seq,
                    const Message* message) const;
    // What its channel conflates by; "": nothing.
    static std::string_view conflate_tag(const Member& member);
    void fall_back(Member& member, std::unique_ptr<Conflation> conflation = nullptr);
    bool skip_those_over();
    bool skip(Member& member);
    void append_gap(const Gap& gap);
    void caught_up(Member& member);
    void end(Member& member, std::string_view code);

    NamedSet<Member> members_;
    List<Subscription, &Subscription::hook> pending_;   // Held ones, that have something to get
    std::deque<std::unique_ptr<Placement>> placements_; // the first one is replayed
    std::vector<std::unique_ptr<Member>> gone_;         // until they are out of their feeds
    std::vector<Member*> wildcards_;
    Ref<Line> line_;
    Encoding* const patching_;
    std::string user_, info_;
    std::string head_;          // until it is sent
    Member* rest_of_ = nullptr; // whose frame is half sent
    uint64_t epoch_ = 0;        // of what was placed or read last
    bool is_asked_ = false;     // a page will come
    bool is_flushing_ = false;
};

} // namespace fanhorn
