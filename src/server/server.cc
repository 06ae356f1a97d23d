// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include "base/log.h"
#include "server/privileges.h"
#include "server/process.h"
#include "server/reference.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <latch>
#include <thread>
#include <unistd.h>

namespace fanhorn {

namespace {

constexpr Millis kTickMs = 200;
// For the last events to be told to the application, behind a drain's end, and at a stop.
constexpr Millis kHooksDrainMs = 10'000, kHooksEndMs = 2000;
// Descriptors that are not connections: loops, listeners, log, reserves.
constexpr uint64_t kOtherDescriptors = 56;
constexpr uint64_t kWorkerDescriptors = 10; // and these for each worker

constexpr std::initializer_list<int> kSignals = {SIGTERM, SIGINT,  SIGQUIT,
                                                 SIGHUP,  SIGUSR1, SIGUSR2};

void mask_signals(int how) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : kSignals)
        sigaddset(&set, signal);
    pthread_sigmask(how, &set, nullptr);
}

size_t worker_count(const Config& config) {
    if (config.server.workers)
        return config.server.workers;
    return std::max(1u, std::thread::hardware_concurrency());
}

} // namespace

Server::Server(std::shared_ptr<const Config> config, std::function<LoadedConfig()> load,
               Program program)
    : config_(std::move(config)), load_(std::move(load)), program_(std::move(program)),
      succession_(Succession::from_environment()) {
    shared_.started_micros = monotonic_micros();
    shared_.workers = worker_count(*config_);
    shared_.descriptors = config_->server.descriptors;
    shared_.memory.set_budget(config_->limits.memory);
    make_brokers();
    shared_.hooks.configure(config_->hooks);
    hook_sender_.configure(config_->hooks);
    shared_.observer = config_->hooks.empty() ? nullptr : &shared_.hooks;
    for (size_t i = 0; i < shared_.workers; ++i)
        workers_.push_back(std::make_unique<Worker>(shared_, i, config_));
    for (const auto& worker : workers_) {
        if (succession_)
            worker->hold_listeners();
        shared_.crew.push_back(worker.get());
        shared_.counters.push_back(&worker->counters());
    }
    for (const auto& named : shared_.brokers)
        shared_.counters.push_back(&named->counters);
    shared_.counters.push_back(&shared_.carried);
}

Server::~Server() = default;

static BrokerLimits broker_limits(const LimitSettings& limits) {
    return {.channels = limits.channels,
            .wildcards = limits.wildcards,
            .wildcard_channels = limits.wildcard_channels,
            .read_markers = limits.read_markers,
            .user_read_markers = limits.user_read_markers};
}

void Server::make_brokers() {
    const auto rules = std::make_shared<ConfigRules>(config_);
    const auto add = [&](const BrokerSettings& settings) {
        const BrokerModule* module = find_broker_module(settings.type);
        CHECK(module != nullptr); // the configuration knows the types
        auto named = std::make_unique<NamedBroker>();
        named->name = settings.name;
        named->broker = module->create(settings, shared_.clock, named->counters);
        named->broker->configure(rules, broker_limits(config_->limits));
        named->broker->on_user_away([this](const std::string& user, Millis age) {
            for (Worker* worker : shared_.crew)
                worker->post([worker, user, age] { worker->end_user(user, age); });
        });
        shared_.brokers.push_back(std::move(named));
    };
    add(BrokerSettings());
    for (const BrokerSettings& broker : config_->brokers)
        add(broker);
}

Result<void> Server::start_brokers() {
    for (const auto& named : shared_.brokers)
        if (auto started = named->broker->start(); !started)
            return Error{"[broker " + named->name + "]: " + started.error()};
    return {};
}

uint32_t Server::descriptors_allow(uint32_t wanted) const {
    const uint64_t limit = raise_descriptor_limit();
    const uint64_t others = kOtherDescriptors + kWorkerDescriptors * shared_.workers;
    const uint64_t tables = shared_.descriptors == Descriptors::Worker ? shared_.workers : 1;
    const uint64_t possible = limit > others ? (limit - others) * tables : 1;
    if (possible >= wanted)
        return wanted;
    const auto allowed = static_cast<uint32_t>(possible);
    log_event(LogLevel::Warning, "max_connections_lowered",
              {{"from", wanted}, {"to", allowed}, {"descriptor_limit", limit}});
    return allowed;
}

Result<void> Server::open() {
    tune_allocator();
    mask_signals(SIG_BLOCK); // run() reads them: their defaults would end us
    if (auto opened = log_open(config_->log.target, config_->log.level, config_->log.format);
        !opened)
        return Error{"[log] target: " + opened.error()};
    if (succession_)
        if (auto greeted = succession_->greet(); !greeted)
            return Error{"taking another process's place: " + greeted.error()};
    shared_.max_connections = descriptors_allow(config_->server.max_connections);
    if (shared_.descriptors == Descriptors::Process)
        widen_descriptor_table(shared_.max_connections);
    auto listeners = open_listeners(*config_);
    if (!listeners)
        return Error{listeners.error()};
    if (auto added = add_listeners(std::move(*listeners)); !added)
        return added;
    log_target_ = config_->log.target;
    if (!succession_)
        if (auto written = write_pid_file(config_->server.pid_file); !written)
            return written;
    pid_file_ = config_->server.pid_file;
    if (auto became = become_user(); !became) {
        remove_pid_file(pid_file_);
        return Error{"[server] user: " + became.error()};
    }
    if (auto started = start_brokers(); !started) {
        remove_pid_file(pid_file_);
        return started;
    }
    confine_process(config_->server.core_dumps);
    return {};
}

// All that needs root is open by now.
Result<void> Server::become_user() {
    const ServerSettings& settings = config_->server;
    if (settings.user.empty()) {
        if (is_root())
            log_event(LogLevel::Warning, "running_as_root",
                      {{"remedy", "[server] user, or User= in the unit"}});
        return {};
    }
    const auto account = find_account(settings.user, settings.group);
    if (!account)
        return Error{account.error()};
    if (account->user == geteuid())
        return {};
    if (!is_root()) {
        log_event(LogLevel::Warning, "user_ignored",
                  {{"user", settings.user}, {"reason", "only root can become another user"}});
        return {};
    }
    return drop_privileges(*account);
}

Result<void> Server::drop_privileges(const Account& account) {
    if (auto given = log_give_to(account.user, account.group); !given)
        log_event(LogLevel::Warning, "log_not_given", {{"reason", given.error()}});
    if (auto done = become(account); !done)
        return done;
    log_event(LogLevel::Notice, "privileges_dropped",
              {{"user", account.name}, {"uid", account.user}, {"gid", account.group}});
    for (const std::string& error : load_().errors)
        log_event(LogLevel::Warning, "reload_would_fail", {{"reason", error}});
    return {};
}

int Server::run() {
    std::signal(SIGPIPE, SIG_IGN); // a log that is a closed pipe is no reason to end
    std::signal(SIGXFSZ, SIG_IGN); // nor is a file that may not grow
    if (succession_)
        if (auto taken = take_state(); !taken)
            give_up(taken.error());
    std::latch parted(static_cast<ptrdiff_t>(workers_.size()));
    for (const auto& worker : workers_)
        worker->start(config_->server, parted);
    parted.wait();
    if (succession_)
        if (auto taken = take_connections(); !taken)
            give_up(taken.error());
    serve();
    mask_signals(SIG_UNBLOCK); // a second one ends what does not end by itself
    if (!is_succeeded_)
        notify_service_manager("STOPPING=1");
    for (const auto& worker : workers_)
        worker->post([raw = worker.get()] { raw->stop(); });
    for (const auto& worker : workers_)
        worker->join();
    for (const auto& named : shared_.brokers)
        named->broker->stop();
    for (const auto& worker : workers_)
        worker->forget_mail();
    end_hooks();
    remove_pid_file(pid_file_);
    log_event(LogLevel::Notice, "stopped");
    return 0;
}

void Server::serve() {
    const Signals signals(loop_, kSignals, [this](int signal) { on_signal(signal); });
    const Ticker ticker(loop_, kTickMs, [this] { tick(); });
    notify_service_manager("READY=1");
    log_event(LogLevel::Notice, "started",
              {{"version", FANHORN_VERSION}, {"workers", workers_.size()}});
    while (state_ != State::Stopping) {
        loop_.turn(Loop::Wait::ForEvents);
        look_at_upgrade();
    }
    upgrade_ = nullptr;
}

void Server::end_hooks() {
    if (!shared_.observer)
        return;
    const Millis now = shared_.clock.now();
    hook_sender_.finish(std::max(now + kHooksEndMs, std::min(drain_until_, now + kHooksDrainMs)));
}

void Server::on_signal(int signal) {
    switch (signal) {
    case SIGTERM:
    case SIGINT:
        drain_until_ = 0;
        return stop();
    case SIGQUIT:
        return begin_drain();
    case SIGHUP:
        return reload();
    case SIGUSR1:
        return reopen_log();
    case SIGUSR2:
        return begin_upgrade();
    default:
        return;
    }
}

// In every table of descriptors.
void Server::reopen_log() {
    const auto reopen = [] {
        if (auto reopened = log_reopen(); !reopened)
            log_event(LogLevel::Error, "log_not_reopened", {{"reason", reopened.error()}});
    };
    reopen();
    if (shared_.descriptors == Descriptors::Worker)
        for (const auto& worker : workers_)
            worker->post(reopen);
}

// Where it goes cannot change with tables of their own: a new file's number is another one's there.
void Server::reload_log(const LogSettings& log) {
    if (shared_.descriptors == Descriptors::Process)
        log_target_ = log.target;
    else if (log_target_ != log.target)
        log_event(LogLevel::Warning, "needs_restart", {{"setting", "[log] target"}});
    if (auto opened = log_open(log_target_, log.level, log.format); !opened)
        log_event(LogLevel::Error, "log_not_opened", {{"reason", opened.error()}});
}

void Server::reload() {
    if (state_ != State::Serving)
        return;
    notify_service_manager(reloading_state());
    const auto keep_old = [&](std::string_view reason) {
        log_event(LogLevel::Error, "reload_refused", {{"reason", reason}});
        notify_service_manager("READY=1");
    };
    if (upgrade_)
        return keep_old("another process is about to take this one's place");
    LoadedConfig loaded = load_();
    for (const std::string& error : loaded.errors)
        log_event(LogLevel::Error, "configuration_error", {{"reason", error}});
    if (!loaded.config)
        return keep_old("the configuration has errors; the old one goes on");
    for (const std::string& name : unreloadable_changes(*config_, *loaded.config))
        log_event(LogLevel::Warning, "needs_restart", {{"setting", name}});
    auto opened = open_listeners(*loaded.config);
    if (!opened)
        return keep_old(opened.error());
    reload_log(loaded.config->log);

    config_ = loaded.config;
    shared_.memory.set_budget(config_->limits.memory);
    const auto rules = std::make_shared<ConfigRules>(config_);
    for (const auto& named : shared_.brokers)
        named->broker->configure(rules, broker_limits(config_->limits));
    reload_hooks();
    for (const auto& worker : workers_)
        worker->post([raw = worker.get(), config = config_] { raw->reload(config); });
    if (auto added = add_listeners(std::move(*opened)); !added)
        log_event(LogLevel::Error, "listener_not_opened", {{"reason", added.error()}});
    shared_.reloads.fetch_add(1, std::memory_order_relaxed);
    log_event(LogLevel::Notice, "reloaded", {{"file", config_->file}});
    notify_service_manager("READY=1");
}

void Server::reload_hooks() {
    if (!shared_.observer)
        return;
    hook_sender_.let_go();
    shared_.hooks.configure(config_->hooks);
    hook_sender_.configure(config_->hooks);
}

void Server::begin_drain() {
    if (state_ != State::Serving)
        return;
    state_ = State::Draining;
    shared_.is_draining = true;
    const Millis over = config_->server.drain;
    drain_until_ = shared_.clock.now() + over + kDrainGraceMs;
    log_event(LogLevel::Notice, "draining",
              {{"connections", shared_.connections.load()}, {"over_ms", over}});
    if (!is_succeeded_)
        notify_service_manager(stopping_state(over + kDrainGraceMs + kHooksDrainMs));
    for (const auto& worker : workers_)
        worker->post([raw = worker.get(), over] { raw->drain(over); });
}

void Server::stop() {
    state_ = State::Stopping;
}

void Server::tick() {
    const Millis now = shared_.clock.now();
    for (const auto& named : shared_.brokers)
        named->broker->tick();
    shared_.memory.tick(now);
    shared_.addresses.tick(now);
    dashboard_.tick();
    hook_sender_.tick();
    if (upgrade_)
        upgrade_->tick();
    look_at_predecessor();
    if (state_ == State::Draining && (shared_.connections.load() == 0 || now >= drain_until_))
        stop();
    feed_watchdog(now);
}

void Server::feed_watchdog(Millis now) {
    static const Millis kInterval = watchdog_interval();
    if (kInterval == 0 || is_succeeded_ || now - fed_at_ < kInterval)
        return;
    if (!is_asking_) {
        is_asking_ = true;
        alive_workers_ = 0;
        for (const auto& worker : workers_)
            worker->post([this] { ++alive_workers_; });
        return;
    }
    if (alive_workers_ < workers_.size())
        return;
    notify_service_manager("WATCHDOG=1");
    is_asking_ = false;
    fed_at_ = now;
}

} // namespace fanhorn
