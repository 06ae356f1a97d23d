// SPDX-License-Identifier: Apache-2.0
// One kept-alive connection that publishes.
#pragma once

#include "ctl/bench_frames.h"
#include "ctl/bench_options.h"
#include "ctl/socket.h"

#include <optional>
#include <string>

namespace fanhorn::ctl::load {

// Owns the channels lane, lane + publishers, ...: their messages in the order of the whole plan,
// where message i goes to channel i % channels.
class Lane {
  public:
    Lane(const Plan& plan, uint64_t number);

    // The place in the plan of the message that is next here; behind its end when none is.
    uint64_t next() const { return round_ * plan_.channels + channel_; }
    uint64_t next_channel() const { return channel_; }
    bool has_room() const;
    void append();
    // Sends what it can, and reads the answers that are there when `is_readable`. False when it
    // cannot go on; then `trouble` says why.
    bool turn(bool is_readable);

    bool is_done(uint64_t limit) const { return next() >= limit && in_flight_ == 0; }
    int fd() const { return socket_ ? socket_->fd() : -1; }
    bool wants_write() const { return sent_ < out_.size(); }
    uint64_t in_flight() const { return in_flight_; }
    uint64_t accepted() const { return accepted_; }
    uint64_t refused() const { return refused_; }
    const std::string& trouble() const { return trouble_; }

  private:
    bool is_stream() const { return plan_.format == Format::kNdjson; }
    bool connect();
    void begin_stream();
    void append_request(const Marker& marker);
    void append_line(const Marker& marker);
    void end_chunk();
    bool flush();
    bool read_answers();
    bool on_closed();
    void disconnect();
    bool take_answers();
    bool take_answer(size_t& at);
    void take_lines();
    void answered(bool is_accepted, std::string_view what);
    bool fail(std::string_view why);

    const Plan& plan_;
    uint64_t channel_, round_ = 0;
    std::optional<Socket> socket_;
    std::string out_, body_, in_;
    size_t sent_ = 0;          // of out_
    std::string lines_;        // of a stream, not yet a chunk
    std::optional<Head> head_; // of the answer that is being read
    Chunks chunks_;
    uint64_t in_flight_ = 0, accepted_ = 0, refused_ = 0;
    bool closes_ = false; // the server will close, after what it answered
    std::string trouble_;
};

} // namespace fanhorn::ctl::load
