// SPDX-License-Identifier: Apache-2.0
// What the application is asked about tokens ([auth] of type callback), each once at a time.
#pragma once

#include "relay/identity.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/outgoing.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

// One worker's, on its thread.
class Inquiries {
  public:
    Inquiries(Loop& loop, const Clock& clock, Counters& counters)
        : loop_(loop), clock_(clock), counters_(counters) {}

    // `done` is called by run(), once the authority knows() what came. It is one of the
    // configuration in effect.
    void ask(const Question& question, std::function<void()> done);
    // Some times a second.
    void tick();
    // Once a turn.
    bool has_answers() const { return !answered_.empty(); }
    void run();
    // At the end of a turn: what a reload replaced goes, when it has nothing to answer any more.
    void reap();
    // The worker ends: nobody is answered any more.
    void close();
    // At a start and a reload: new sections have connections of their own.
    void set_config(const Config& config);

  private:
    struct Section {
        std::shared_ptr<const Authority> authority;
        std::unique_ptr<Outgoing> outgoing;
        std::map<std::string, std::vector<std::function<void()>>> waiting; // by token
    };

    void on_answer(Section& section, const std::string& token, const Outgoing::Response& response);

    Loop& loop_;
    const Clock& clock_;
    Counters& counters_;
    std::vector<std::unique_ptr<Section>> sections_, replaced_;
    std::vector<std::function<void()>> answered_;
};

} // namespace fanhorn
