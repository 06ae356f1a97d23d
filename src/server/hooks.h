// SPDX-License-Identifier: Apache-2.0
// What the applications of the [hooks] sections are to be told, from all workers.
#pragma once

#include "relay/observer.h"
#include "server/census.h"
#include "server/hook_queue.h"
#include "server/hook_settings.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

struct HookFigures {
    std::string name;
    uint64_t raised = 0, taken = 0, requests = 0, failures = 0;
    size_t events = 0, bytes = 0; // on their way and waiting
    std::array<uint64_t, HookQueue::kDrops> dropped{};
};

// Any thread, under a lock of its own.
class Hooks final : public Observer {
  public:
    explicit Hooks(const Clock& clock);

    // At the start, before there are workers, and at a reload: what waits for a section that stays
    // is kept. Who was not observed from the start on is not counted, so that a reload cannot bring
    // the first one.
    void configure(const std::vector<HookSettings>& sections);

    void on_channel(const std::string& channel, bool is_here) override;
    void on_user(const std::string& user, bool is_here) override;
    void on_attendee(const std::string& channel, const std::string& user, const std::string& info,
                     bool is_here) override;
    void on_unheard(const std::string& user, const Position& message) override;

    // For who sends; HookQueue's calls for the section of that name.
    std::optional<std::string> take(const std::string& name, bool hurries);
    void settle(const std::string& name, HookQueue::Outcome outcome);
    // Tells of who has gone for as long as the grace time, and drops what is too old.
    void tick();
    // The daemon ends: everybody goes.
    void end();
    // What waits is dropped.
    void abandon();

    // Who is here, for the process that takes this one's place.
    std::string pack() const;
    // Begins with them, of whom nothing is told: who has not come by then has gone at
    // `absent_until`. Before there are workers. False: it is not understood.
    bool unpack(std::string_view packed, Millis absent_until);
    // Those who have not come by now have gone.
    void end_absence();
    // From now on the next process tells what happens; what waits is sent all the same.
    void retire();
    std::vector<HookFigures> figures() const;

  private:
    struct Section {
        HookSettings settings;
        HookQueue queue;
        uint64_t requests = 0, failures = 0;
    };

    void count(const Census::Who& who, const std::string& info, bool is_here);
    void tell(HookEvent event, const Census::Who& who, std::string_view more = "");
    Millis longest_grace() const;
    bool tell_some_gone(Millis grace);
    void let_absent_go(Millis now);
    Section* find(const std::string& name);

    const Clock& clock_;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Section>> sections_;
    Census census_;
    std::vector<Census::Who> absent_; // counted once each, whether they have come or not
    Millis absent_until_ = 0;
    bool is_retired_ = false;
};

} // namespace fanhorn
