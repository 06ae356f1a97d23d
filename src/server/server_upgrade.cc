// SPDX-License-Identifier: Apache-2.0
// USR2: another process takes this one's place, and the one that takes it.
#include "base/log.h"
#include "server/command_line.h"
#include "server/process.h"
#include "server/server.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <thread>

namespace fanhorn {

// ---- the one that ends

void Server::begin_upgrade() {
    if (const std::string hindrance = upgrade_hindrance(); !hindrance.empty())
        return refuse_upgrade(hindrance);
    const LoadedConfig loaded = load_();
    for (const std::string& error : loaded.errors)
        log_event(LogLevel::Error, "configuration_error", {{"reason", error}});
    if (!loaded.config)
        return refuse_upgrade("the configuration has errors");
    upgrade_ = std::make_unique<Upgrade>(loop_, shared_.clock, upgrade_owner());
    if (auto begun = upgrade_->begin(program_); !begun) {
        upgrade_ = nullptr;
        return refuse_upgrade(begun.error());
    }
    log_event(LogLevel::Notice, "upgrade_begun", {{"program", program_.path}});
}

// Why it cannot be; "" where it can.
std::string Server::upgrade_hindrance() const {
    constexpr std::string_view kRemedy = "; drain with QUIT and start anew";
    if (upgrade_)
        return "one is under way";
    if (state_ != State::Serving)
        return "the daemon is draining";
    if (shared_.descriptors == Descriptors::Worker)
        return std::string("with 'descriptors = worker' sockets are in tables of their own")
            .append(kRemedy);
    for (const auto& named : shared_.brokers)
        if (named->broker->keeps() == Broker::Keeps::Disk)
            return ("[broker " + named->name +
                    "] has its log on the disk, which two processes cannot have")
                .append(kRemedy);
    return "";
}

void Server::refuse_upgrade(std::string_view reason) {
    count(UpgradeEnd::Refused);
    log_event(LogLevel::Error, "upgrade_refused", {{"reason", reason}});
}

void Server::count(UpgradeEnd end) {
    shared_.upgrades[static_cast<size_t>(end)].fetch_add(1, std::memory_order_relaxed);
}

Upgrade::Owner Server::upgrade_owner() {
    return {
        .listening = [this] { return listening(); },
        .freeze =
            [this](std::set<std::string> listeners) {
                auto freeze = std::make_shared<Freeze>(workers_.size(), std::move(listeners));
                for (const auto& worker : workers_)
                    worker->post([raw = worker.get(), freeze] { raw->freeze(freeze); });
                return freeze;
            },
        .state =
            [this](int64_t frozen_at, const std::vector<Packed>& packed) {
                return packed_state(frozen_at, packed);
            },
        .retire =
            [this] {
                shared_.hooks.retire();
                for (const auto& named : shared_.brokers)
                    named->broker->retire();
            },
    };
}

// As its workers tell, since sockets have other numbers there.
std::vector<Upgrade::Listening> Server::listening() {
    std::vector<std::vector<std::pair<std::string, int>>> of_workers(workers_.size());
    on_each_worker([&](size_t number) { of_workers[number] = workers_[number]->listening(); });
    std::vector<Upgrade::Listening> all;
    for (size_t i = 0; i < of_workers.size(); ++i)
        for (auto& [key, socket] : of_workers[i])
            all.push_back({std::move(key), i, socket});
    return all;
}

std::string Server::packed_state(int64_t frozen_at_micros, const std::vector<Packed>& packed) {
    left_behind_ = shared_.connections.load() - packed.size();
    HandedState state;
    state.frozen_at_micros = frozen_at_micros;
    state.absent_until = shared_.clock.now() + config_->server.drain + kDrainGraceMs;
    for (size_t i = 0; i < kUpgradeEnds; ++i)
        state.upgrades[i] = shared_.upgrades[i].load(std::memory_order_relaxed);
    Counters all;
    for (const Counters* each : shared_.counters)
        all.add(*each);
    state.totals = all.totals();
    const std::string hooks = shared_.hooks.pack();
    state.hooks = hooks;
    std::vector<std::string> logs(shared_.brokers.size());
    for (size_t i = 0; i < logs.size(); ++i) {
        if (shared_.brokers[i]->broker->keeps() != Broker::Keeps::Memory)
            continue;
        shared_.brokers[i]->broker->pack(logs[i]);
        state.brokers.push_back({shared_.brokers[i]->name, logs[i]});
    }
    for (const Packed& each : packed)
        state.records.push_back({each.worker, each.record});
    return pack_state(state);
}

// Behind each turn, so that no callback of it is on the stack.
void Server::look_at_upgrade() {
    if (!upgrade_ || !upgrade_->outcome())
        return;
    const Upgrade::Outcome outcome = *upgrade_->outcome();
    parting_ = upgrade_->take_letters();
    upgrade_ = nullptr;
    if (outcome.successor)
        return end_succeeded(outcome);
    count(UpgradeEnd::Failed);
    log_event(LogLevel::Error, "upgrade_failed", {{"reason", outcome.failure}});
}

// What was left behind is drained.
void Server::end_succeeded(const Upgrade::Outcome& outcome) {
    is_succeeded_ = true;
    notify_service_manager("MAINPID=" + std::to_string(outcome.successor));
    log_event(LogLevel::Notice, "upgraded",
              {{"pid", outcome.successor},
               {"connections", outcome.connections},
               {"left", left_behind_},
               {"freeze_ms", outcome.frozen_micros / 1000}});
    if (outcome.is_cold)
        log_event(LogLevel::Warning, "upgrade_cold",
                  {{"reason", "the versions differ in what they hand over: all connections drain, "
                              "and what was kept in memory is gone"}});
    begin_drain();
}

// ---- the one that goes on

// So that those whose channels are on a server find it; not for ever, where there is none.
void Server::await_brokers() const {
    constexpr int kSteps = 500;
    const auto is_up = [](const auto& named) { return named->broker->is_up(); };
    for (int i = 0; i < kSteps && !std::ranges::all_of(shared_.brokers, is_up); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

Result<void> Server::take_state() {
    await_brokers();
    auto state = succession_->await_state({open_keys_.begin(), open_keys_.end()});
    if (!state)
        return Error{state.error()};
    handed_ = std::move(*state);
    if (succession_->is_cold())
        return {};
    for (size_t i = 0; i < kUpgradeEnds; ++i)
        shared_.upgrades[i] = handed_.upgrades[i];
    shared_.carried.add_totals(handed_.totals);
    if (shared_.observer && !shared_.hooks.unpack(handed_.hooks, handed_.absent_until))
        return Error{"what it has for [hooks] is not understood"};
    for (const auto& named : shared_.brokers) {
        const auto found = std::find_if(handed_.brokers.begin(), handed_.brokers.end(),
                                        [&](const auto& each) { return each.name == named->name; });
        if (found == handed_.brokers.end() || named->broker->keeps() != Broker::Keeps::Memory)
            continue;
        if (!named->broker->unpack(found->state, handed_.absent_until))
            return Error{"the log of broker '" + named->name + "' is not understood"};
    }
    return {};
}

Result<void> Server::take_connections() {
    auto sockets = succession_->receive_connections();
    if (!sockets)
        return Error{sockets.error()};
    std::vector<Share> shares(workers_.size());
    for (size_t i = 0; i < sockets->size(); ++i) {
        Share& share = shares[handed_.records[i].worker % shares.size()];
        share.sockets.push_back(std::move((*sockets)[i]));
        share.records.push_back(handed_.records[i].record);
    }
    if (!unpack_all(shares))
        return Error{"a connection is not understood"};
    if (auto taken = succession_->take_over(); !taken)
        return taken;
    shared_.handed_connections = sockets->size();
    begin_in_place(std::move(shares));
    return {};
}

// Runs task(number) on each worker, and waits for all.
void Server::on_each_worker(const std::function<void(size_t)>& task) {
    std::latch done(static_cast<ptrdiff_t>(workers_.size()));
    for (size_t i = 0; i < workers_.size(); ++i)
        workers_[i]->post([&, i] {
            task(i);
            done.count_down();
        });
    done.wait();
}

bool Server::unpack_all(std::vector<Share>& shares) {
    std::atomic<bool> is_understood{true};
    on_each_worker([&](size_t number) {
        Share& share = shares[number];
        share.handed.reserve(share.records.size());
        for (const std::string_view record : share.records) {
            share.handed.push_back(unpack_handed(record));
            if (!share.handed.back() || !succession_->has_listener(share.handed.back()->listener)) {
                is_understood = false;
                return;
            }
        }
    });
    return is_understood;
}

// It is all ours from here on.
void Server::begin_in_place(std::vector<Share> shares) {
    on_each_worker([&](size_t number) { // all, before anything is published
        workers_[number]->place_all(shares[number].sockets, shares[number].handed);
    });
    for (const auto& worker : workers_)
        worker->post([raw = worker.get()] { raw->begin_serving(); });
    if (!succession_->is_cold())
        shared_.freeze_micros = monotonic_micros() - handed_.frozen_at_micros;
    count(UpgradeEnd::Done);
    if (auto written = write_pid_file(pid_file_, succession_->predecessor()); !written)
        log_event(LogLevel::Error, "pid_file_not_written", {{"reason", written.error()}});
    log_event(LogLevel::Notice, "took_over",
              {{"from", succession_->predecessor()},
               {"connections", shared_.handed_connections.load()},
               {"freeze_ms", shared_.freeze_micros / 1000}});
    handed_ = {};
    succession_->forget_state();
}

// Who was left to it and has not come by now has gone.
void Server::look_at_predecessor() {
    if (!succession_ || !succession_->has_parted())
        return;
    succession_ = nullptr;
    shared_.hooks.end_absence();
    for (const auto& named : shared_.brokers)
        named->broker->end_absence();
}

// Nobody has seen anything of us: the other one goes on.
void Server::give_up(std::string_view reason) {
    succession_->give_up(reason);
    std::fprintf(stderr, "fanhorn: taking another process's place: %s\n",
                 std::string(reason).c_str());
    std::_Exit(kExitRuntime);
}

} // namespace fanhorn
