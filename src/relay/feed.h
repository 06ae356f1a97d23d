// SPDX-License-Identifier: Apache-2.0
// A channel on one worker in one encoding, or what a filter lets through of it: its newest messages
// in wire form, and the cursors.
#pragma once

#include "base/filter.h"
#include "base/list.h"
#include "base/pool.h"
#include "relay/backlog.h"
#include "relay/settings.h"

#include <memory>
#include <string>

namespace fanhorn {

class Channel;
class Feed;
class Hub;
class Subscriber;

// One subscriber on one channel: a cursor in a feed.
struct Subscription {
    enum class Place : uint8_t {
        Away,    // not live: being placed, replaying, or gone
        Waiting, // on a list of its feed: has everything, or is due this turn
        Held,    // has something to get, and its subscriber knows
        Young,   // placed ahead of this worker: skips what it already has
        Gone,    // ended
    };
    Feed* feed = nullptr;
    Subscriber* subscriber = nullptr;
    uint64_t placed_at = 0; // the newest seq when it was placed: ends up to there are not its
    uint64_t ordinal = 0;   // the next frame to send; Young: the seq up to which it has everything
    Hook hook;              // on a list of its feed; Held: of its subscriber; Gone: of the hub
    Hook of_channel;        // on its channel's list of members
    Place place = Place::Away;
    enum class Ending : uint8_t { No, Deleted, Unknown };
    Ending ending = Ending::No; // ends with that code when it has caught up
};
// The code of an `end`: "deleted" by the backend; "channel_unknown" after a reload.
std::string_view ending_code(Subscription::Ending ending);

// Has every message of the channel above floor() that its filter, if it has one, lets through.
// Keeps frames only while somebody has still to get them: a slow subscriber costs a number, and the
// feed's limit bounds what all of them cost.
class Feed : public Pooled<Feed> {
  public:
    // A turn that has not yet been flushed to everybody may hold this much, whatever
    // slow_consumer_limit says: those subscribers are not slow, we are.
    static constexpr size_t kDueBytes = 8 << 20;

    Feed(Channel& channel, Encoding& encoding, const FilterRef& filter, uint64_t floor)
        : channel_(channel), encoding_(encoding), floor_(floor) {
        if (filter)
            sieve_ = std::make_unique<Sieve>(Sieve{filter, 0});
    }

    Channel& channel() const { return channel_; }
    Encoding& encoding() const { return encoding_; }
    // Null: everything is wanted.
    const Filter* filter() const { return sieve_ ? sieve_->filter.get() : nullptr; }
    // Joins and leaves have no tags and are nothing to filter.
    bool wants(const Message& message) const {
        return !sieve_ || message.tells != MessageKind::Data ||
               sieve_->filter->matches(message.tags);
    }
    // The newest message that the filter did not let through; 0 for none so far.
    uint64_t newest_skipped() const { return sieve_ ? sieve_->newest_skipped : 0; }
    // Ordinals of the frames at hand: [first(), next()).
    uint64_t first() const { return backlog_ ? backlog_->first() : next_; }
    uint64_t next() const { return next_; }
    // Only while first() < next().
    const Backlog& backlog() const {
        CHECK(backlog_);
        return *backlog_;
    }
    // Below the first frame kept, or above it by a hole: what is at or under it is history's.
    uint64_t floor() const { return floor_; }
    bool has_due() const { return !due_.empty(); }
    size_t members() const { return members_; }

    // Encodes the message and makes everybody who waits due, unless the filter is against it.
    void append(const MessageRef& message);
    // Messages up to `seq` will not come this way: everybody is sent back to history.
    void lose(uint64_t seq);

    void enter(Subscription& subscription);
    void leave(Subscription& subscription);
    // Makes a subscription live behind `seq`, which is not below floor(). The sequencer may be
    // ahead of what this worker has drained: what comes up to `seq` is then skipped.
    void join(Subscription& subscription, uint64_t seq);
    // The subscription has something to get but cannot (or is not alone): counted, not listed.
    void hold(Subscription& subscription);
    // Frames have their messages from now on, for subscribers who look at them.
    void keep_messages() { others().keeps_messages = true; }
    // It has all: frames that nobody needs any more are freed.
    void caught_up(Subscription& subscription);
    // Takes it out of the live ones; it stays a member.
    void put_away(Subscription& subscription);
    Subscription* next_due() { return due_.front(); }
    Subscription* due_after(Subscription& subscription) { return due_.next(subscription); }

    // Whether what that subscription holds is more than slow_consumer_limit.
    bool runs_over(const Subscription& subscription) const;
    // About what that subscription holds.
    size_t bytes_behind(const Subscription& subscription) const;
    // Moves it on as slow_consumer has it, gap or latest. What it misses, being behind `after`.
    Gap skip(Subscription& subscription, Position after) const;

    // The last poll's answer, for those who wait at the same place for the same.
    struct Batch {
        uint64_t from, to; // ordinals
        std::string begin_of_head;
        SegmentRef body;
    };
    std::unique_ptr<Batch> batch; // or none

    // Drops what is beyond the limit, but of what this turn has not yet offered to everybody only
    // what is beyond kDueBytes: that is looked at again behind the flush.
    void trim();

    std::unique_ptr<Feed> next_of_channel;
    Hook dirty;   // on the hub's list of feeds to flush
    Hook swollen; // on its list of feeds to trim behind the flush

  private:
    using Cursors = List<Subscription, &Subscription::hook>;
    struct Sieve {
        FilterRef filter;
        uint64_t newest_skipped = 0;
    };
    void grow_up(uint64_t seq, uint64_t ordinal);
    void wait(Subscription& subscription);
    void make_due();
    void settle();

    Channel& channel_;
    Encoding& encoding_;
    std::unique_ptr<Backlog> backlog_; // none while everybody has everything
    uint64_t next_ = 0;
    uint64_t floor_;
    uint32_t members_ = 0;
    uint32_t held_ = 0;
    struct Others {
        Cursors waiting; // of subscribers with several channels
        Cursors young;
        MessageRef state; // the newest, where there are patches
        bool keeps_messages = false;
    };
    Others& others();

    Cursors waiting_; // single subscriptions
    Cursors due_;
    std::unique_ptr<Sieve> sieve_;   // of a filter
    std::unique_ptr<Others> others_; // made for the first of them
};

} // namespace fanhorn
