// SPDX-License-Identifier: Apache-2.0
// Accepts connections: a bounded number a turn, in batches when they storm in, and when descriptors
// run out a few by the reserve, without spinning.
#pragma once

#include "net/loop.h"
#include "net/reserve.h"
#include "net/socket.h"

#include <functional>

namespace fanhorn {

class Acceptor final : public Watch {
  public:
    // Connections accepted in one turn, so that live traffic has its share.
    static constexpr int kAcceptsPerTurn = 64;
    // So many within kRestMicros are a storm. The socket is then looked at so often only: who
    // connects need not wake us each time, which costs more than what we do for it.
    static constexpr int kStorm = 8;
    static constexpr int64_t kRestMicros = 1000;
    // When the process has no descriptor left: so many are accepted one after the other by what the
    // reserve lends, then accepting rests so long.
    static constexpr int kSparesPerPause = 16;
    static constexpr Millis kPause = 100;
    // Who is held back is looked at again so often at least.
    static constexpr int64_t kMaxHoldMicros = 100'000;

    // What it asks of its owner, and tells.
    struct Owner {
        // Owns the descriptor; `is_spare`: it is lent by the reserve, which has it back when it is
        // closed at once.
        std::function<void(int fd, bool is_spare)> on_accept;
        // Before the first of those.
        std::function<void()> on_exhausted;
        // In how many microseconds one more may be accepted, 0: now. Null: always now.
        std::function<int64_t()> hold = nullptr;
        // Somebody had to wait for that.
        std::function<void()> on_held = nullptr;
    };

    Acceptor(Loop& loop, const Clock& clock, Descriptor socket, DescriptorReserve& reserve,
             Owner owner);
    ~Acceptor() override;

    // False where there was no descriptor for it, or no room in the kernel: it accepts nothing.
    bool is_open() const { return is_open_; }
    int socket() const { return socket_.get(); }
    // Resumes after a pause; several times a second.
    void tick();
    // Stops for good; what waits in the kernel's queue is refused when the socket closes.
    void stop();

  private:
    void on_readable() override;
    int accept_some();
    bool is_held();
    void rest(int64_t micros);
    bool is_storm(int accepted);
    void rest_over();
    void accept_spare();
    void resume_or_retry();

    const Clock& clock_;
    Descriptor socket_;
    DescriptorReserve& reserve_;
    const Owner owner_;
    bool is_open_ = false;
    Millis paused_until_ = 0; // 0: not paused
    Delay rest_;              // while it runs, a storm's connections wait
    int64_t counted_from_ = 0;
    int counted_ = 0;         // accepted in kRestMicros from there
    int64_t hold_micros_ = 0; // as the owner said when accept_some() ended; 0: not for that
    bool was_held_ = false;   // since the last one was accepted
};

} // namespace fanhorn
