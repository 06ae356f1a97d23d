// SPDX-License-Identifier: Apache-2.0
// Starts, reloads, drains and stops the workers. Lives on the main thread.
#pragma once

#include "net/loop.h"
#include "server/config.h"
#include "server/dashboard.h"
#include "server/hook_sender.h"
#include "server/privileges.h"
#include "server/shared.h"
#include "server/worker.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

class Server {
  public:
    // `load` reads the configuration again (HUP).
    Server(std::shared_ptr<const Config> config, std::function<LoadedConfig()> load);
    ~Server();

    // Opens the log, all listeners and the pid file: what can fail fails here.
    Result<void> open();
    // Serves until a signal ends it. The exit code.
    int run();

  private:
    enum class State : uint8_t { Serving, Draining, Stopping };

    void make_brokers();
    Result<void> start_brokers();
    Result<void> become_user();
    Result<void> drop_privileges(const Account& account);
    uint32_t descriptors_allow(uint32_t wanted) const;
    // The sockets of `config` that are not open yet, for each worker.
    Result<std::vector<std::vector<NewListener>>> open_listeners(const Config& config);
    Result<void> open_address(const ListenerSettings& listener, const Address& address,
                              std::vector<std::vector<NewListener>>& opened);
    Result<void> hand_over(std::vector<std::vector<NewListener>> listeners);
    void on_signal(int signal);
    void reopen_log();
    void reload_log(const LogSettings& log);
    void reload();
    void reload_hooks();
    void end_hooks();
    void begin_drain();
    void stop();
    void tick();
    void feed_watchdog(Millis now);

    std::shared_ptr<const Config> config_;
    const std::function<LoadedConfig()> load_;
    Shared shared_;
    Dashboard dashboard_{shared_};
    Loop loop_;
    HookSender hook_sender_{loop_, shared_.clock, shared_.hooks};
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::string> open_keys_; // addresses
    std::string pid_file_;
    std::string log_target_;
    State state_ = State::Serving;
    Millis drain_until_ = 0;
    // The watchdog is fed when each worker has answered since the last time.
    std::atomic<size_t> alive_workers_{0};
    Millis fed_at_ = 0;
    bool is_asking_ = false;
};

} // namespace fanhorn
