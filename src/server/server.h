// SPDX-License-Identifier: Apache-2.0
// Starts, reloads, drains and stops the workers. Lives on the main thread.
#pragma once

#include "net/loop.h"
#include "server/config.h"
#include "server/dashboard.h"
#include "server/hook_sender.h"
#include "server/privileges.h"
#include "server/shared.h"
#include "server/succession.h"
#include "server/upgrade.h"
#include "server/worker.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

class Server {
  public:
    // `load` reads the configuration again (HUP); `program` is started again (USR2).
    Server(std::shared_ptr<const Config> config, std::function<LoadedConfig()> load,
           Program program);
    ~Server();

    // Opens the log, all listeners and the pid file: what can fail fails here.
    Result<void> open();
    // Serves until a signal ends it. The exit code.
    int run();

  private:
    enum class State : uint8_t { Serving, Draining, Stopping };
    // For the last words of a drain to be heard.
    static constexpr Millis kDrainGraceMs = 6000;

    void make_brokers();
    Result<void> start_brokers();
    Result<void> become_user();
    Result<void> drop_privileges(const Account& account);
    uint32_t descriptors_allow(uint32_t wanted) const;
    // The sockets of `config` that are not open yet, for each worker.
    Result<std::vector<std::vector<NewListener>>> open_listeners(const Config& config);
    Result<void> open_address(const ListenerSettings& listener, const Address& address,
                              std::vector<std::vector<NewListener>>& opened);
    Result<void> inherit(std::vector<Descriptor> inherited, const ListenerSettings& listener,
                         const Address& address, std::vector<std::vector<NewListener>>& opened);
    Result<void> add_listeners(std::vector<std::vector<NewListener>> listeners);
    void on_signal(int signal);
    void reopen_log();
    void reload_log(const LogSettings& log);
    void reload();
    void reload_hooks();
    void end_hooks();
    void begin_drain();
    void stop();
    void tick();
    void serve();

    // server_upgrade.cc
    void begin_upgrade();
    std::string upgrade_hindrance() const;
    void refuse_upgrade(std::string_view reason);
    Upgrade::Owner upgrade_owner();
    std::vector<Upgrade::Listening> listening();
    std::string packed_state(int64_t frozen_at_micros, const std::vector<Packed>& packed);
    void look_at_upgrade();
    void look_at_predecessor();
    void end_succeeded(const Upgrade::Outcome& outcome);
    void await_brokers() const;
    Result<void> take_state();
    Result<void> take_connections();
    // What one worker gets: by the number of the one it had, as far as there are so many.
    struct Share {
        std::vector<Descriptor> sockets;
        std::vector<std::string_view> records;
        std::vector<std::optional<Handed>> handed;
    };
    void on_each_worker(const std::function<void(size_t)>& task);
    bool unpack_all(std::vector<Share>& shares);
    void begin_in_place(std::vector<Share> shares);
    [[noreturn]] void give_up(std::string_view reason);
    void count(UpgradeEnd end);
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
    const Program program_;
    std::unique_ptr<Upgrade> upgrade_;       // that is under way
    std::unique_ptr<Succession> succession_; // until the process before has ended
    Letters parting_;                        // open until we end
    HandedState handed_;
    size_t left_behind_ = 0;    // connections that it did not get
    bool is_succeeded_ = false; // another process is the service's now
    State state_ = State::Serving;
    Millis drain_until_ = 0;
    // The watchdog is fed when each worker has answered since the last time.
    std::atomic<size_t> alive_workers_{0};
    Millis fed_at_ = 0;
    bool is_asking_ = false;
};

} // namespace fanhorn
