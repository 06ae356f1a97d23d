// SPDX-License-Identifier: Apache-2.0
// A client's way out, as the relay sees it.
#pragma once

#include "relay/broker.h"
#include "relay/segment.h"

#include <span>
#include <sys/types.h>
#include <sys/uio.h>

namespace fanhorn {

// Nothing is freed inside a call: a sink that broke or finished destroys its subscriber at the end
// of the turn.
class Sink {
  public:
    virtual ~Sink() = default;
    // Takes as many bytes as the socket does. Fewer than all: Subscriber::on_writable follows.
    // -1: broken; the sink closes itself and is not to be written to any more.
    virtual ssize_t write(const iovec* pieces, int count) = 0;
    // All has been written; close the connection.
    virtual void finish() = 0;
    // The broker would not place the subscription: answer so, nothing has been written.
    virtual void refuse(Start::Status status) = 0;
    // A poll's whole answer, after which the connection takes the next request.
    virtual void answer(std::string head, SegmentRef body) = 0;
};

// Writes the same bytes to many sinks at once, for less than a call of the system each.
class BatchWriter {
  public:
    static constexpr size_t kMax = 128;
    virtual ~BatchWriter() = default;
    // `results` as Sink::write would have returned them. At most kMax.
    virtual void write(std::span<Sink* const> sinks, iovec piece, std::span<ssize_t> results) = 0;
};

} // namespace fanhorn
