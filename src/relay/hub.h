// SPDX-License-Identifier: Apache-2.0
// One worker's channels: takes the brokers' messages in position order and flushes the feeds.
#pragma once

#include "base/named_set.h"
#include "base/pool.h"
#include "relay/broker.h"
#include "relay/feed.h"
#include "relay/observer.h"
#include "relay/subscriber.h"
#include "relay/wildcards.h"

#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

// A channel that has subscribers on this worker.
class Channel : public Pooled<Channel> {
  public:
    Channel(BrokerEnd& end, std::string name, const ChannelSettings& settings)
        : end_(end), name_(std::move(name)), settings_(&settings) {}

    Hub& hub() const { return *end_.hub; }
    BrokerEnd& end() const { return end_; }
    const std::string& name() const { return name_; }
    std::string_view key() const { return name_; }
    const ChannelSettings& settings() const { return *settings_; }
    void set_settings(const ChannelSettings& settings) { settings_ = &settings; }

    // The feed of that encoding and filter, made when it is the first; `floor` as Feed has it.
    Feed& feed(Encoding& encoding, const FilterRef& filter, uint64_t floor);
    // Null where there is none.
    Feed* find_feed(const Encoding& encoding, const Filter* filter) const;
    // The others follow by Feed::next_of_channel.
    Feed* first_feed() const { return feeds_.get(); }
    void drop_feed(Feed& feed);

    List<Subscription, &Subscription::of_channel> members;
    Ref<Audience> audience;
    uint64_t wanted_from = 0; // messages above this seq come to this worker

  private:
    BrokerEnd& end_;
    const std::string name_;
    const ChannelSettings* settings_;
    std::unique_ptr<Feed> feeds_;
};

// Not thread-safe: everything happens on the worker.
class Hub {
  public:
    Hub(const Clock& clock, Counters& counters) : clock_(clock), counters_(counters) {}
    ~Hub();

    BrokerEnd& add_broker(Broker& broker, Mailbox& box);
    const Clock& clock() const { return clock_; }
    Counters& counters() const { return counters_; }

    // Used where many subscribers are sent the same; may be null.
    void set_batch_writer(BatchWriter* writer) { writer_ = writer; }
    // Before the first channel; it outlives the hub. Null: nobody.
    void set_observer(Observer* observer) { observer_ = observer; }
    Observer* observer() const { return observer_; }
    // The settings of all channels change; `rules` outlives its use here.
    void configure(std::shared_ptr<const Rules> rules);

    // What came out of the mailbox. `pushed` are the brokers' pushed() from before it was emptied,
    // in the order of add_broker.
    void deliver(Mailbox::Batch& batch, const std::vector<Position>& pushed);
    std::vector<Position> pushed() const;

    // Sends what is due, to at most `budget` subscribers. Whether there is more.
    bool flush(size_t budget);
    bool has_due() const { return !dirty_.empty() || !ready_.empty(); }
    bool has_ready() const { return !ready_.empty(); }
    // Counts the times that everybody had been offered everything.
    uint64_t turn() const { return turn_; }

    // The end of a turn.
    void reap();
    // Looks after those who do not read; about once a second.
    void tick(Millis send_timeout);
    // A client whose socket is full, and about how many bytes that are in memory wait for it.
    struct Behind {
        Sink* sink;
        size_t bytes;
    };
    // Of the subscribers whose sockets are full, and of `others`, one in `share`, 16 at least, for
    // whom the most bytes wait.
    std::vector<Sink*> furthest_behind(size_t share, std::vector<Behind> others) const;
    // How many channels have subscribers here.
    size_t channel_count() const { return channels_.size(); }

    // Whether a subscriber with that filter would have a feed without there being more than `limit`
    // with a filter on one of the channels.
    bool has_room_for(const Filter& filter, const Encoding& encoding,
                      const std::vector<std::string>& channels, size_t limit) const;

    // For subscribers.
    Channel& enter(Subscription& subscription, Encoding& encoding, const std::string& name,
                   BrokerEnd& end, const ChannelSettings& settings, const Start& start,
                   const ChannelStart& channel_start, const FilterRef& filter = nullptr);
    void leave(Subscription& subscription);
    // A start came for whom it does not matter any more: what nobody else wants is not wanted.
    void decline(BrokerEnd& end, const std::vector<std::string>& channels) const;
    // Takes it out of its feed now, and leaves at the end of the turn (reap), so that no feed dies
    // while it is being flushed.
    void retire(Subscription& subscription);
    // A backlog for a feed that has something to keep, and back when it has not.
    std::unique_ptr<Backlog> take_backlog(uint64_t first);
    void give_backlog(std::unique_ptr<Backlog> backlog);
    void add_dirty(Feed& feed) { dirty_.push_back(feed); }
    void add_swollen(Feed& feed) { swollen_.push_back(feed); }
    void add_ready(Subscriber& subscriber) { ready_.push_back(subscriber); }
    void add_stalled(Subscriber& subscriber) { stalled_.push_back(subscriber); }

  private:
    static constexpr size_t kSpareBacklogs = 32;

    // A channel whose name is a wildcard, which is that of a channel as well.
    struct Wildcard {
        Pattern pattern;
        Channel* channel = nullptr;
    };

    void deliver_message(const MessageRef& message);
    template <typename Visit> void each_channel_of(std::string_view name, Visit visit);
    const ChannelSettings* settings_of(const Channel& channel, const Rules& rules) const;
    Channel& make_channel(BrokerEnd& end, const std::string& name, const ChannelSettings& settings);
    void deliver_notice(Notice& notice);
    static void end_members(Channel& channel, uint64_t seq, Subscription::Ending ending);
    void lose(const std::string& channel, uint64_t seq);
    size_t flush_feed(Feed& feed, size_t budget);
    size_t flush_batch(Feed& feed, size_t budget);

    const Clock& clock_;
    Counters& counters_;
    std::shared_ptr<const Rules> rules_;
    std::vector<std::unique_ptr<BrokerEnd>> ends_;
    NamedSet<Channel> channels_;
    Wildcards<Wildcard> wildcards_;
    List<Feed, &Feed::dirty> dirty_;
    List<Feed, &Feed::swollen> swollen_;
    BatchWriter* writer_ = nullptr;
    Observer* observer_ = nullptr;
    uint64_t turn_ = 1;
    List<Subscriber, &Subscriber::turn> ready_;   // several channels, something to send
    List<Subscriber, &Subscriber::turn> stalled_; // their sockets are full
    List<Subscription, &Subscription::hook> retired_;
    std::vector<std::unique_ptr<Backlog>>
        spare_; // a channel's every message would cost five mallocs
};

} // namespace fanhorn
