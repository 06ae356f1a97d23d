// SPDX-License-Identifier: Apache-2.0
// TLS handshakes of one worker: the dear part of a connection, done a bounded number a turn.
#pragma once

#include "base/list.h"
#include "base/pool.h"
#include "net/tls.h"
#include "relay/counters.h"

namespace fanhorn {

class SocketConnection;

// What a connection over TLS has besides.
struct Secured : Pooled<Secured> {
    Secured(std::shared_ptr<const TlsContext> context, int fd, bool has_http2,
            SocketConnection& owner)
        : stream(std::move(context), fd, has_http2), connection(owner) {}

    TlsStream stream;
    SocketConnection& connection;
    Hook waiting;
};

// First come, first served: a storm of them waits, unread, while live traffic goes on.
class Handshakes {
  public:
    explicit Handshakes(Counters& counters) : counters_(counters) {}

    // It has something to read for its handshake; in the queue already, it keeps its place.
    void enter(Secured& secured);
    // Its connection is closed, or has no TLS any more.
    void leave(Secured& secured);
    bool is_empty() const { return queue_.empty(); }
    // Goes on with the first `limit` of them, fewer when that takes longer than `micros` and
    // `is_busy` says that others wait.
    template <typename IsBusy> void run(uint32_t limit, int64_t micros, IsBusy is_busy);

  private:
    Secured* next();
    static void go_on(Secured& secured);

    Counters& counters_;
    List<Secured, &Secured::waiting> queue_;
};

template <typename IsBusy> void Handshakes::run(uint32_t limit, int64_t micros, IsBusy is_busy) {
    const int64_t from = monotonic_micros();
    for (uint32_t i = 0; i < limit && !is_empty(); ++i) {
        go_on(*next());
        if (is_busy() && monotonic_micros() - from > micros)
            return;
    }
    if (!is_empty())
        counters_.hit(Limit::Handshakes);
}

} // namespace fanhorn
