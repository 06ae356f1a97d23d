// SPDX-License-Identifier: Apache-2.0
// A client that asks again and again: it gets one answer, at once or when there is something.
#pragma once

#include "relay/fixed_subscriber.h"

#include <string>

namespace fanhorn {

// What a poll asked, beyond a Wish.
struct PollWish {
    bool may_wait = false;        // long polling
    bool is_retained_due = false; // `since` was no id
    std::string headers;          // further header lines of the answer, each with its CRLF
    std::string if_none_match;    // of a short poll: entity tags with commas between them
    std::string tag;              // names the channels in the ETag
    bool keep_alive = true;
    size_t max_messages = 1000;
};

class PollSubscriber final : public FixedSubscriber {
  public:
    PollSubscriber(Sink& sink, const Wish& wish, PollWish poll);

    void begin(Wish&& wish);
    // One that waits. What it asked comes from asked().
    std::optional<HandedSubscriber> hand_over() const override;
    const PollWish& asked() const { return poll_; }
    // The wait ran out: an empty answer.
    void on_timeout();
    void on_writable() override {}
    void flush() override;
    void on_ending(Subscription& subscription) override;
    void on_stalled(Millis, Millis) override {}
    void close(const Farewell& farewell) override;

    // Whether the connection may go on behind the answer.
    bool keeps_alive() const { return poll_.keep_alive; }

    static constexpr size_t kMaxMessages = 1000;
    static constexpr size_t kMaxBytes = 1 << 20;
    // Of history that a filter does not let through, looked at for one answer.
    static constexpr uint32_t kMaxPages = 16;

  private:
    void on_start(Start start) override;
    void on_page(Page page) override;
    Stretch stretch_behind(const Start& start);
    void read_on(Stretch stretch);
    void wait_on(uint64_t after);
    void flush_single();
    void flush_several();
    void add_gap(const Gap& gap);
    bool wants(const Message& message) const;
    bool has_room(size_t bytes) const;
    void add_frame(const Frame& frame);
    void add_end(const Subscription& subscription);
    void answer();
    void answer_with(SegmentRef body);
    std::string etag() const;
    std::string begin_of_head(size_t body_size, int status) const;
    void send(std::string_view begin_of_head, SegmentRef body);
    SegmentRef body() const;

    PollWish poll_;
    bool has_waited_ = false;
    FilterRef filter_;                   // a short poll has no feed to ask
    uint32_t pages_ = 0;                 // read
    std::vector<std::string> names_;     // of a short poll, until on_start
    std::string messages_, gaps_, ends_; // JSON objects, each with a comma behind it
    size_t count_ = 0;
    uint32_t retry_after_s_ = 0; // 0: none
};

} // namespace fanhorn
