// SPDX-License-Identifier: Apache-2.0
// A streamed NDJSON body: each line is published as it arrives and answered by a line, in order.
#pragma once

#include "server/publisher.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace fanhorn {

class LinePublisher {
  public:
    // `max_line` bounds one line in bytes. `identity` says what may be published; null: all.
    LinePublisher(Publisher& publisher, size_t max_line, IdentityRef identity)
        : publisher_(publisher), max_line_(max_line), identity_(std::move(identity)) {}

    enum class Status : uint8_t { Ok, TooLong };
    // Publishes the whole lines in `bytes` and what was left before; `done` is given their result
    // lines, perhaps before this returns. TooLong: a line is over the limit; nothing of it was
    // published, and no more is to be fed.
    Status feed(std::string_view bytes, const std::function<void(std::string)>& done);
    // The body has ended: a last line needs no line end.
    void finish(const std::function<void(std::string)>& done);
    // An incomplete line, of which another process goes on with the rest.
    const std::string& rest() const { return rest_; }
    void set_rest(std::string rest) { rest_ = std::move(rest); }
    // Batches whose results have not come yet.
    size_t open() const { return *open_; }

  private:
    void publish(Attempts attempts, const std::function<void(std::string)>& done);

    Publisher& publisher_;
    const size_t max_line_;
    const IdentityRef identity_;
    std::string rest_; // an incomplete line
    // Outlives us in results that come late.
    std::shared_ptr<size_t> open_ = std::make_shared<size_t>(0);
};

} // namespace fanhorn
