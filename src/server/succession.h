// SPDX-License-Identifier: Apache-2.0
// This process takes another one's place: what comes from it, over the socket that it left us. On
// the main thread; every wait is bounded.
#pragma once

#include "net/letters.h"
#include "server/upgrade_words.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fanhorn {

class Succession {
  public:
    // Null where this process takes nobody's place. Takes the variable out of the environment.
    static std::unique_ptr<Succession> from_environment();

    // Says who we are, and gets the listeners.
    Result<void> greet();
    // The other's format is another one: we get nothing but its listeners.
    bool is_cold() const { return is_cold_; }
    int predecessor() const { return predecessor_; }
    // The listeners of that address, which may be none; each once.
    std::vector<Descriptor> take_listeners(const std::string& key);
    // Says which listeners we have. The other then holds still: from its answer on every
    // millisecond counts.
    Result<HandedState> await_state(const std::set<std::string>& listeners);
    // One socket for each of the state's records, in their order.
    Result<std::vector<Descriptor>> receive_connections();
    bool has_listener(const std::string& key) const { return keys_.contains(key); }
    // All is adopted: when this returns, it is ours.
    Result<void> take_over();
    // Behind take_over(): the state is not looked at any more.
    void forget_state() { state_ = {}; }
    // Behind take_over(): whether the other one has ended, and drained what was left to it.
    bool has_parted();
    // Why we cannot; the other goes on.
    void give_up(std::string_view reason);

  private:
    explicit Succession(Descriptor socket) : letters_(std::move(socket)) {}
    Result<Letter> expect(Word word, Millis within);

    Letters letters_;
    int predecessor_ = 0;
    bool is_cold_ = false;
    std::vector<std::pair<std::string, Descriptor>> listeners_;
    std::set<std::string> keys_; // that we have
    std::string state_;          // of which HandedState is views
    size_t records_ = 0;
};

} // namespace fanhorn
