// SPDX-License-Identifier: Apache-2.0
// The broker of one process: one sequencer, its log in memory.
#pragma once

#include "base/list.h"
#include "base/named_set.h"
#include "modules/idempotency.h"
#include "modules/log_entry.h"
#include "relay/broker.h"
#include "relay/history.h"
#include "relay/read_markers.h"
#include "relay/wildcards.h"

#include <map>
#include <mutex>
#include <set>

namespace fanhorn {

class LocalBroker : public Broker {
  public:
    // `counters` is written under the sequencer's lock only.
    LocalBroker(const Clock& clock, Counters& counters);
    ~LocalBroker() override;

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
    void mark(ReadMark mark, std::function<void(Marked)> done) override;
    void markers(const std::vector<std::string>& channels, const std::string& user,
                 std::function<void(std::vector<Position>)> done) override;
    Keeps keeps() const override { return Keeps::Memory; }
    void pack(std::string& state) override;
    bool unpack(std::string_view state, Millis absent_until) override;
    void end_absence() override;
    void retire() override;
    Position pushed() const override;
    size_t channel_count() const override;
    void tick() override;

  protected:
    struct Channel;
    struct Wildcard;
    struct ByName {
        using is_transparent = void;
        bool operator()(const Channel* a, const Channel* b) const;
        bool operator()(const Channel* a, std::string_view b) const;
        bool operator()(std::string_view a, const Channel* b) const;
    };
    using Garbage = std::vector<MessageRef>;
    // What a call leaves for when the lock is gone: workers to wake, limits to tell.
    struct After {
        std::vector<Limit> reached;
        std::vector<Mailbox*> filled;
        void run() const {
            for (const Mailbox* box : filled)
                box->wake();
            for (const Limit limit : reached)
                log_limit(limit);
        }
    };

    // A message that has its place in the order and is not there for anybody yet.
    struct Staged {
        Channel* channel = nullptr; // which stays until then
        MessageRef message;         // null: there is none
    };

    // A channel as it is at one seq, to be written down: its bytes are copied without the lock.
    struct ChannelCopy {
        std::string channel;
        uint64_t n = 0, trimmed = 0;
        std::vector<MessageRef> messages; // rising
        MessageRef past;                  // a retained value that is not among them
    };

    // All below: under mutex_.
    class Loader;
    class StateLoader;
    static ChannelCopy copy_of(const Channel& channel);
    void pack_log(std::string& entries);
    Channel* find(std::string_view name);
    Channel* find_or_make(const std::string& name, Published::Status& refused);
    void free_if_empty(Channel& channel);
    uint32_t deliver(const Channel& channel, const MessageRef& message);
    const ChannelSettings& settings_of(Channel& channel);
    uint64_t& watermark(std::string_view name);
    Published publish_one(Draft& draft, const Digest* content, Millis now, Garbage& garbage);
    // Leaves the draft its idempotency key.
    Staged stage(Draft& draft, const Digest* content, Millis now, Published& result);
    // Returns for how many subscribers it is.
    uint32_t apply(const Staged& staged, Garbage& garbage);
    void end_channel(Channel& channel, uint64_t seq, Garbage& garbage);
    void remember(Channel& channel, const MessageRef& message, Garbage& garbage);
    Start::Status want(uint16_t worker, const std::vector<std::string>& names);
    void unwant(uint16_t worker, const std::string& name);
    std::u16string* wanters(const std::string& name, Start::Status& refused);
    bool has_room(const ChannelSettings& settings, const Audience& audience,
                  Start::Status& refused);
    std::u16string* wildcard_wanters(const std::string& name, Start::Status& refused);
    const ChannelSettings* settings_of(Wildcard& wildcard);
    bool find_matched(Wildcard& wildcard, std::vector<Channel*>& matched);
    uint64_t freed_of(Wildcard& wildcard);
    std::optional<Gap> wildcard_gap(Wildcard& wildcard, const Since& since);
    ChannelStart start_wildcard(const std::string& name, const Since& since, Millis now,
                                uint64_t& lowest);
    class Reading;
    Start begin_at(const std::vector<std::string>& names, const Since& since, Millis now);
    ChannelStart start_channel(const std::string& name, const Since& since, Millis now,
                               uint64_t& lowest);
    ChannelFacts facts_of(Channel& channel);
    template <typename Mail> void push(uint16_t worker, Mail&& mail);
    void reached(Limit limit);
    void schedule(Channel& channel);
    void expire(Channel& channel, Millis now, Garbage& garbage);
    virtual void tell(const std::string& channel, MessageKind kind, const Attendee& who,
                      const ConnectionId& exclude);
    Staged stage_told(const std::string& channel, MessageKind kind, const Attendee& who,
                      const ConnectionId& exclude);
    void tell_who_left(Millis now);
    // Moved: it is one that may move.
    Marked judge(const ReadMark& mark) const;
    Marked move_marker(ReadMark& mark, Garbage& garbage);
    ReadMarkers::Moved move_marker_to(const ReadMark& mark);
    const LostStretch* lost_behind(uint64_t seq) const;
    void take(After& after) {
        after.reached.swap(reached_);
        after.filled.swap(filled_);
    }

    const Clock& clock_;
    Counters& counters_;
    uint64_t epoch_;  // constant once workers run
    SipKey name_key_; // likewise
    std::atomic<uint64_t> pushed_{0};
    std::atomic<size_t> channel_count_{0};

    mutable std::mutex mutex_;
    uint64_t head_ = 0;               // the newest seq that anybody has seen
    uint64_t given_ = 0;              // the newest one; above head_ while something is staged
    size_t kept_bytes_ = 0;           // of all histories
    std::vector<LostStretch> losses_; // rising
    std::shared_ptr<const Rules> rules_;
    uint32_t generation_ = 0; // of rules_
    BrokerLimits limits_;
    std::vector<Mailbox*> boxes_;
    NamedSet<Channel> channels_;
    Channel* recent_ = nullptr;          // the last that was looked for: it mostly is again
    std::set<Channel*, ByName> by_name_; // for lists in order
    Millis absent_until_ = 0;            // 0: nobody is expected from a process before
    bool is_retired_ = false;            // another process gives positions
    bool is_by_name_late_ = false;       // by_name_ is filled at the end of that
    Wildcards<Wildcard> wildcards_;      // that workers want
    IdempotencyKeys keys_;
    PresenceBook presence_;
    ReadMarkers markers_;
    // What is left for when the lock is gone.
    std::vector<Limit> reached_;   // counted; their log lines are to be written
    std::vector<Mailbox*> filled_; // their workers are to be woken
    // What freed channels had trimmed, by a hash of their name: a rare false gap, never a missed
    // one.
    std::array<uint64_t, 4096> watermarks_{};
    // The same by section, for wildcards; of all of them together before the last configure().
    std::map<const ChannelSettings*, uint64_t> section_watermarks_;
    uint64_t earlier_watermark_ = 0;
    struct Wheel;
    std::unique_ptr<Wheel> wheel_;
};

} // namespace fanhorn
