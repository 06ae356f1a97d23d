// SPDX-License-Identifier: Apache-2.0
// Another process takes this one's place (USR2): what this one does for it. On the main thread; the
// letters are those of server/upgrade_words.h.
#pragma once

#include "net/letters.h"
#include "net/loop.h"
#include "server/freeze.h"
#include "server/upgrade_words.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

namespace fanhorn {

// How this process was started, and is started again: the file at that path, whatever it is now.
struct Program {
    std::string path;
    std::vector<std::string> arguments; // the first is its name

    static Program of(int argc, char** argv);
};

class Upgrade final : private Watch {
  public:
    // Who takes our place has so long to say who it is, and to be ready.
    static constexpr Millis kGreetsWithin = 10'000, kReadyWithin = 60'000;
    // Of each answer while our workers hold still; and of workers to do so.
    static constexpr Millis kAnswersWithin = 5000, kHoldsWithin = 2000;

    struct Listening {
        std::string key;
        size_t worker = 0;
        int socket = -1;
    };
    // The server, for it.
    struct Owner {
        std::function<std::vector<Listening>()> listening;
        std::function<std::shared_ptr<Freeze>(std::set<std::string> listeners)> freeze;
        // pack_state() of what holds still; without the connections' sockets.
        std::function<std::string(int64_t frozen_at_micros, const std::vector<Packed>&)> state;
        // The other has it all: nothing new is said here from now on.
        std::function<void()> retire;
    };
    struct Outcome {
        pid_t successor = 0;    // 0: it has failed, and nothing has changed
        std::string failure;    // what then
        bool is_cold = false;   // it has our listeners and nothing else
        size_t connections = 0; // that it has
        int64_t frozen_micros = 0;
    };

    Upgrade(Loop& loop, const Clock& clock, Owner owner);
    ~Upgrade() override;

    // Starts the other one.
    Result<void> begin(const Program& program);
    void tick();
    // Null while it is under way.
    const Outcome* outcome() const { return is_over_ ? &outcome_ : nullptr; }

    // Whose end tells the other one of ours.
    Letters take_letters() { return std::move(letters_); }

  private:
    void on_readable() override;
    void welcome(uint64_t format);
    Result<void> send_listeners(const std::vector<Listening>& listening);
    void hand_over(std::set<std::string> listeners);
    Result<void> give(const std::vector<Packed>& packed, int64_t frozen_at_micros);
    Result<void> give_state(const std::vector<Packed>& packed, int64_t frozen_at_micros);
    Result<void> give_connections(const std::vector<Packed>& packed);
    Result<void> expect(Word word);
    void fail(std::string reason);

    Loop& loop_;
    const Clock& clock_;
    const Owner owner_;
    Letters letters_;
    pid_t child_ = 0;
    Millis deadline_ = 0;
    bool is_greeted_ = false, is_over_ = false;
    Outcome outcome_;
};

} // namespace fanhorn
