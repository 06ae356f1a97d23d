// SPDX-License-Identifier: Apache-2.0
// Sends what Hooks has to the applications, each in its order. On the main thread.
#pragma once

#include "net/loop.h"
#include "server/hooks.h"
#include "server/outgoing.h"

#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

// The value of the field Fanhorn-Signature: the time, in seconds since 1970, and the HMAC-SHA256
// with each secret over the time, a '.' and the body; in hexadecimal.
std::string hook_signature(const std::vector<std::string>& secrets, Millis wall,
                           std::string_view body);

class HookSender {
  public:
    HookSender(Loop& loop, const Clock& clock, Hooks& hooks)
        : loop_(loop), clock_(clock), hooks_(hooks) {}

    // As Hooks is configured, behind that; not within a callback of these connections.
    void configure(const std::vector<HookSettings>& sections);
    // Before a section may go from Hooks.
    void let_go();
    // Some times a second.
    void tick();
    // The daemon ends: sends what there is, without waiting for more and without a second attempt,
    // as far as it goes until then; the rest is dropped.
    void finish(Millis until);

  private:
    struct Section {
        HookSettings settings;
        std::unique_ptr<Outgoing> outgoing;
        bool is_sending = false;
        bool is_failing = false; // since the last answer
        std::array<uint64_t, HookQueue::kDrops> told_drops{};
    };

    void send(Section& section);
    void on_answer(Section& section, const Outgoing::Response& response);
    void tell_failure(const Section& section, const Outgoing::Response& response);
    void tell_drops();
    bool is_done() const;

    Loop& loop_;
    const Clock& clock_;
    Hooks& hooks_;
    std::vector<std::unique_ptr<Section>> sections_;
    bool is_finishing_ = false;
};

} // namespace fanhorn
