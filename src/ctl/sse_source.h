// SPDX-License-Identifier: Apache-2.0
// A bridge's messages from a server's event stream; comes back where it was.
#pragma once

#include "ctl/backoff.h"
#include "ctl/bridge_source.h"
#include "ctl/tls.h"
#include "http/response_reader.h"

namespace fanhorn::ctl {

class SseSource final : public Source {
  public:
    static constexpr int kMaxRedirects = 5;
    static constexpr Millis kHeadTimeoutMs = 30'000;

    explicit SseSource(http::Upstream upstream)
        : origin_(upstream), upstream_(std::move(upstream)) {}

    int fd() const override { return stream_ ? stream_->fd() : -1; }
    int due_in_ms(Millis now) const override;
    bool will_block() const override { return !stream_; }
    void turn(Millis now, std::vector<Event>& events) override;
    bool is_over() const override { return is_over_; }
    const std::string& failure() const override { return failure_; }

  private:
    void connect(Millis now);
    std::string request() const;
    void on_head(Millis now);
    void on_stream();
    void redirect(Millis now);
    void feed_events(std::vector<Event>& events);
    void come_back(Millis now, const std::string& why, Millis asked_ms = 0);
    void end(const std::string& failure);

    const http::Upstream origin_; // where each try begins
    http::Upstream upstream_;     // where redirects have led
    int redirects_ = 0;
    std::unique_ptr<ServerStream> stream_;
    http::ResponseReader response_;
    bool has_head_ = false;
    EventReader events_{kMaxUpstreamBytes};
    Backoff backoff_;
    Millis due_ = 0; // the next try, or the end of patience with a head
    bool is_over_ = false;
    std::string failure_;
};

} // namespace fanhorn::ctl
