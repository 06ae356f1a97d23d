// SPDX-License-Identifier: Apache-2.0
// What a subscriber still has to send that is in no feed: the rest of a frame, control frames,
// replayed history. Empty for all who keep up.
#pragma once

#include "relay/segment.h"
#include "relay/sink.h"

#include <string>
#include <string_view>

namespace fanhorn {

class Outbox {
  public:
    bool empty() const { return !rest_ && !own_; }
    // Bytes of our own that wait.
    size_t own_bytes() const { return own_ ? own_->bytes.size() - own_begin_ : 0; }

    // The unsent rest of a shared frame; only into an empty box.
    void set_rest(SegmentRef segment, uint32_t begin, uint32_t end);
    // A buffer behind everything else; append to it.
    std::string& own();
    // Writes as much as the sink takes. False when the sink broke.
    bool write(Sink& sink);

  private:
    SegmentRef rest_;
    uint32_t rest_begin_ = 0, rest_end_ = 0;
    SegmentRef own_;
    uint32_t own_begin_ = 0;
};

} // namespace fanhorn
