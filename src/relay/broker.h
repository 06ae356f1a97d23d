// SPDX-License-Identifier: Apache-2.0
// The seam behind which order arises: a broker gives a message its position, remembers it, and
// carries it to every worker that wants its channel, in one step.
#pragma once

#include "base/result.h"
#include "relay/counters.h"
#include "relay/mailbox.h"
#include "relay/message.h"
#include "relay/pattern.h"
#include "relay/position.h"
#include "relay/presence.h"
#include "relay/settings.h"

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// Which settings govern a channel. Immutable; a reload brings another one.
class Rules {
  public:
    virtual ~Rules() = default;
    // Null where no section matches. The settings live as long as the Rules.
    virtual const ChannelSettings* settings_for(std::string_view channel) const = 0;
    // Of the most specific section that matches all that the pattern does; null where there is
    // none, or where it has `wildcard = off`.
    virtual const ChannelSettings* settings_for_wildcard(const Pattern& pattern) const = 0;
};

struct BrokerLimits {
    uint32_t channels = 1'000'000;
    uint32_t wildcards = 10'000;        // different ones
    uint32_t wildcard_channels = 1'000; // looked at for what a wildcard's channels keep
    uint32_t read_markers = 1'000'000;  // the least recently moved is forgotten
    uint32_t user_read_markers = 1'000; // of one user, likewise
};

// How many subscribers a channel has on this node: written by the workers, read by publishers.
struct Audience final : AtomicCount {
    std::array<std::atomic<uint32_t>, 3> count{}; // websocket, sse, longpoll
    uint32_t total() const {
        return count[0].load(std::memory_order_relaxed) + count[1].load(std::memory_order_relaxed) +
               count[2].load(std::memory_order_relaxed);
    }
};

struct Published {
    enum class Status : uint8_t {
        Published,
        Replayed,     // a repeat of an idempotency key: position and n are the first one's
        Mismatch,     // that key came before with another content
        NoSection,    // no [channel] section matches (any more)
        ChannelsFull, // limits.channels
        Down,         // the store or server behind the broker is away; nothing was published
    };
    Status status = Status::Published;
    Position position;
    uint64_t n = 0;
    uint32_t subscribers = 0; // on this node, at that moment
    bool is_heard = false;    // of a user's channel: he has a connection on some node
};

// A channel, or wildcard, of a piece of the log; from behind `floor` on.
struct StretchPart {
    std::string channel;
    uint64_t floor = 0;
};

// Where one channel of a subscription begins.
struct ChannelStart {
    uint64_t floor = 0;     // its replay brings what is above this
    std::optional<Gap> gap; // epoch, ahead; of a wildcard: trimmed as well
    MessageRef retained;    // to send first, if any
    Ref<Audience> audience;
    // Of a wildcard: where the channels begin that it matches at that moment, and what they retain.
    std::vector<StretchPart> matched;
    std::vector<MessageRef> matched_retained;
};

struct Start {
    enum class Status : uint8_t {
        Placed,
        NoSection,
        ChannelsFull,
        WildcardsFull,
        SubscribersFull,
        Down,
    };
    Status status = Status::Placed;
    Position told;                      // the reader's first position
    uint64_t after = 0;                 // replay goes on behind this seq of the current epoch
    uint64_t head = 0;                  // the newest seq at that moment
    uint64_t epoch = 0;                 // the current one
    std::vector<ChannelStart> channels; // in the order asked for
};

// A piece of the log of some channels, in position order.
struct Stretch {
    std::vector<StretchPart> parts; // each channel once; a wildcard stands for those not named
    uint64_t after = 0;
    uint64_t epoch = 0; // whose seqs these are; 0: the current one's
    size_t max_messages = 1000;
    size_t max_bytes = 1 << 20; // but at least one message
    bool may_wait = true;       // for a server that is away; else the page says that it is
};

struct Page {
    std::vector<MessageRef> messages; // rising seqs
    std::vector<Gap> gaps;            // trimmed: to be told before the messages
    // Where the next read of the same parts begins, floors raised over the gaps in `gaps`.
    Stretch rest;
    bool is_end = false; // all there is up to rest.after has been read
    uint64_t epoch = 0;
    bool is_down = false; // what is behind the broker is away, and nothing was read
};

// How far a user has read in a channel.
struct ReadMark {
    std::string channel, user;
    Position position;
    // Published in the same step when the marker moves, if its channel is there.
    Draft told;
};

struct Marked {
    enum class Status : uint8_t {
        Moved,
        Kept,  // it was there already, or further
        Epoch, // the position is of another epoch
        Ahead, // nothing has that position yet
        Down,  // as Published has it
    };
    Status status = Status::Moved;
    Position position; // of the marker, when it moved or was kept
};

enum class Removal : uint8_t {
    Removed,
    Unknown, // there was no such channel
    Down,    // as Published has it
};

struct ChannelFacts {
    std::string channel;
    std::array<uint32_t, 3> subscribers{}; // websocket, sse, longpoll
    size_t messages = 0, bytes = 0;
    Position first, last; // epoch 0: nothing is kept
    uint64_t n = 0;
    std::string section;
};

struct ChannelList {
    std::vector<ChannelFacts> channels;
    std::string cursor; // where the next page begins; "" at the end
};

// Thread-safe. A `done` runs on the calling worker's thread (Mailbox::of_this_thread), perhaps
// before the call returns. A channel's seqs rise; one seq is given once in an epoch, whatever the
// channel.
class Broker {
  public:
    virtual ~Broker() = default;

    // Opens what is behind it, once, when privileges have been dropped and signals are blocked;
    // behind configure() and before any worker's call. The error says what to do.
    virtual Result<void> start() { return {}; }
    // When all workers have ended: nobody is answered from now on, no box is used again.
    virtual void stop() {}

    // A worker's end; messages for what it wants go into its box in position order. Before any
    // other call of that worker. The box must outlive the broker's last use.
    virtual size_t add_worker(Mailbox& box) = 0;
    // New settings for all channels, from now on.
    virtual void configure(std::shared_ptr<const Rules> rules, const BrokerLimits& limits) = 0;

    virtual void publish(std::vector<Draft> drafts,
                         std::function<void(std::vector<Published>)> done) = 0;
    // In one step: the worker wants these channels from `head` on, and each has its start. A
    // wildcard (pattern.h) is wanted as all the channels of its section that it matches, whenever
    // they come; reserved names are not among them.
    virtual void subscribe(size_t worker, std::vector<std::string> channels, Since since,
                           std::function<void(Start)> done) = 0;
    // As subscribe, but nothing is wanted: for a reader that does not stay.
    virtual void locate(std::vector<std::string> channels, Since since,
                        std::function<void(Start)> done) = 0;
    // The worker's last subscriber of that channel, or wildcard, went.
    virtual void unsubscribe(size_t worker, const std::string& channel) = 0;
    virtual void read(Stretch stretch, std::function<void(Page)> done) = 0;
    // Drops history and retained value and tells every worker (Notice::Ended).
    virtual void remove(const std::string& channel, std::function<void(Removal)> done) = 0;
    virtual void facts(const std::string& channel,
                       std::function<void(std::optional<ChannelFacts>)> done) = 0;
    // Channels in the order of their names, from `cursor` on; none that are reserved.
    virtual void list(std::string_view prefix, std::string_view cursor, size_t limit,
                      std::function<void(ChannelList)> done) = 0;

    // One connection more, or fewer, of that user on a channel; who joins and who has left is told
    // to the channel, where its section says so, but not to that connection. False: the channel has
    // as many users as it may, and this one is not counted; depart() is not to be called.
    virtual bool attend(const std::string& channel, const Attendee& who,
                        const ConnectionId& connection) = 0;
    virtual void depart(const std::string& channel, const std::string& user) = 0;
    virtual void attendance(const std::string& channel,
                            std::function<void(std::vector<Attendee>)> done) = 0;

    // What other nodes say of a user whose connections are to end, those that are older than `age`;
    // set before start(), called on any thread.
    using UserAway = std::function<void(const std::string& user, Millis age)>;
    virtual void on_user_away(UserAway /*heard*/) {}
    // Says so to other nodes, this one perhaps too; those that are away hear of it when they are
    // back. False: it was not said.
    virtual void send_user_away(const std::string& /*user*/, std::function<void(bool)> done) {
        done(true);
    }

    // Moves a user's marker, forward only.
    virtual void mark(ReadMark mark, std::function<void(Marked)> done) = 0;
    // The user's, one for each channel; epoch 0: none. `done` runs before that of a subscribe which
    // the worker asks for later.
    virtual void markers(const std::vector<std::string>& channels, const std::string& user,
                         std::function<void(std::vector<Position>)> done) = 0;

    // Where what it keeps is, as a process that takes this one's place finds it.
    enum class Keeps : uint8_t { Memory, Disk, Elsewhere };
    virtual Keeps keeps() const { return Keeps::Elsewhere; }
    // Of one that keeps it in this process's memory: all of it, for the next process. While no
    // worker runs a turn.
    virtual void pack(std::string& /*state*/) {}
    // Begins with that; behind start(), before any worker's call. Who was on a channel is there
    // until `absent_until`, and then leaves if he has not come back. False: it is not understood.
    virtual bool unpack(std::string_view /*state*/, Millis /*absent_until*/) { return false; }
    // Behind unpack(): those who have not come by now leave, with the usual grace.
    virtual void end_absence() {}
    // The next process has it, and gives positions from now on: what would need one is answered
    // with Down, as is who would subscribe.
    virtual void retire() {}

    // Every message up to this position has been pushed into the boxes that wanted it.
    virtual Position pushed() const = 0;
    virtual size_t channel_count() const = 0;
    // Whether what is behind it answers. Where it does not, facts and lists find nothing.
    virtual bool is_up() const { return true; }
    // Expires what is due; called about once a second, by one thread.
    virtual void tick() = 0;
};

class Hub;

// A broker as a worker knows it.
struct BrokerEnd {
    Broker* broker = nullptr;
    Hub* hub = nullptr;
    size_t worker = 0; // our number there
    uint64_t epoch = 0;
    uint64_t delivered = 0; // the newest seq that this worker has put into its feeds
};

// What modules.cc lists.
struct BrokerModule {
    std::string_view name;
    std::unique_ptr<Broker> (*create)(const BrokerSettings& settings, const Clock& clock,
                                      Counters& counters);
};

} // namespace fanhorn
