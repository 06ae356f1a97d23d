// SPDX-License-Identifier: Apache-2.0
// A client that is sent the log as it grows: WebSocket and SSE.
#pragma once

#include "base/pool.h"
#include "relay/conflation.h"
#include "relay/fixed_subscriber.h"

namespace fanhorn {

class StreamSubscriber final : public FixedSubscriber, public Pooled<StreamSubscriber> {
  public:
    // `head` is the answer's head without Fanhorn-Id and the empty line, which Encoding::hello
    // appends.
    StreamSubscriber(Sink& sink, const Wish& wish, std::string head);

    // Asks the broker; the opening may have been written when this returns.
    void begin(const Wish& wish) { place(Wish(wish)); }
    // Before begin(), of one that another process had: `head` is what its client has not got, and
    // has been greeted before.
    void resume(bool owes_position, bool is_behind);
    std::optional<HandedSubscriber> hand_over() const override;
    void on_writable() override;
    void flush() override;
    bool takes_batch() const override;
    void on_batch(size_t bytes, ssize_t result) override;
    void on_ending(Subscription& subscription) override;
    void on_stalled(Millis now, Millis send_timeout) override;

  private:
    static constexpr size_t kReplayBytes = 64 << 10; // of one read; at least a message
    static constexpr int kPieces = 64;               // of one write

    // The answer's head, then history on its way to the client.
    struct Replay {
        std::string head;
        Stretch rest; // what to read next
        uint64_t epoch = 0;
        bool is_resumed = false; // there was an answer's head, and a greeting
        bool is_end = false;     // there is nothing more to read for now
        bool is_read = false;    // a page has come and is in the outbox
        bool is_asked = false;   // a page will come later
        bool is_reading = false; // within read(): on_page only takes the page
        // Of a reader who was too slow, where a channel has `conflate`.
        std::unique_ptr<Conflation> conflation;
    };
    // A frame picked from the held subscriptions, in the order of seqs.
    struct Picked {
        Subscription* owner;
        uint64_t ordinal;
        const Frame* frame;
    };

    void on_start(Start start) override;
    void on_page(Page page) override;
    void on_rest_sent(uint64_t seq) override { delivered(0, seq); }
    void begin_replay(Stretch stretch);
    void read_page();
    void replay_on();
    void go_live();
    void fall_back(std::unique_ptr<Conflation> conflation = nullptr);
    bool wants(const Message& message);
    std::string_view conflate_tag(const Message& message);
    bool conflates() const;
    void look_ahead(Page page);
    void take(Page page);

    void flush_single();
    void finish_flush();
    bool send_single(Subscription& subscription);
    bool settle_write(Subscription& subscription, uint64_t end, size_t bytes, ssize_t result);
    void flush_several();
    size_t pick(Picked* picked);
    bool send_picked(const Picked* picked, size_t count);
    void settle_pending();
    void keep_rest(const Backlog::Written& written);
    bool append_frames(std::string& out) const;
    Position handed_position() const;

    bool skip_over_limit();
    bool skip(Subscription& subscription);
    void append_gap(const Gap& gap);
    bool finish_endings();
    void delivered(uint64_t messages, uint64_t seq);

    bool fell_back_ = false;         // this replay is our doing: what it misses is an overflow
    bool owes_position_ = false;     // a gap was told and nothing with an id since
    std::unique_ptr<Replay> replay_; // in states Placing and Replaying
};
// An idle one is this, its connection and, of a WebSocket, what it may say.
static_assert(sizeof(StreamSubscriber) <= 208);

} // namespace fanhorn
