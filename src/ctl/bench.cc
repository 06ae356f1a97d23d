// SPDX-License-Identifier: Apache-2.0
// Loads a server and tells what it cost: subscribers in processes of their own, the publisher here.
#include "ctl/bench_publisher.h"
#include "ctl/bench_report.h"
#include "ctl/bench_subscribers.h"
#include "ctl/commands.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fanhorn::ctl {

namespace {

using namespace load;

// A server may place a subscription a moment after it has answered.
constexpr useconds_t kSettleUs = 200'000;
constexpr useconds_t kLookUs = 1000;
// Connections whose buffers are looked at one by one: with a million, everything waits meanwhile.
constexpr uint64_t kMostLookedAt = 100'000;

void raise_descriptor_limit() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> start_processes(const Plan& plan, Shared& shared) {
    const pid_t parent = getpid();
    for (unsigned i = 0; i < plan.processes; ++i) {
        const pid_t child = fork();
        if (child < 0)
            return Error{std::string("cannot start a process: ") + std::strerror(errno)};
        if (child > 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) // it may have gone before that
            Subscribers(plan, shared, i).run();
        _exit(kOk);
    }
    return {};
}

// Waits until `count` reaches `goal`. False when it does not move for the plan's patience.
template <typename Count> bool wait_for(const Plan& plan, uint64_t goal, Count count) {
    uint64_t last = count(), moved_ns = now_ns();
    while (last < goal) {
        usleep(kLookUs);
        const uint64_t now = count();
        if (now != last)
            moved_ns = now_ns();
        else if (now_ns() - moved_ns > plan.patience_s * 1'000'000'000)
            return false;
        last = now;
    }
    return true;
}

void wait_for_connections(const Plan& plan, const Shared& shared) {
    wait_for(plan, plan.subscribers,
             [&] { return shared.sum(&Tally::connected) + shared.sum(&Tally::failed); });
}

// Until all processes have seen it.
void enter(const Plan& plan, Shared& shared, Phase phase) {
    shared.phase.store(phase, std::memory_order_release);
    wait_for(plan, plan.processes * static_cast<uint64_t>(phase),
             [&] { return shared.sum(&Tally::phase); });
}

// Also until they have written what is lost.
bool finish(const Plan& plan, Shared& shared) {
    shared.phase.store(Phase::kFinish, std::memory_order_release);
    bool are_well = true;
    for (uint64_t i = 0; i < plan.processes; ++i) {
        int status = 0;
        are_well &= wait(&status) > 0 && status == 0;
    }
    return are_well;
}

Result<Outcome> run(const Plan& plan, Shared& shared) {
    Outcome outcome;
    std::string trouble;
    const uint16_t port = plan.subscribers <= kMostLookedAt ? plan.subscribe.port() : 0;
    const auto look = [&](Usage& usage) {
        auto read = read_usage(plan.pids, port);
        if (read)
            usage = *read;
        else if (trouble.empty())
            trouble = read.error();
    };
    look(outcome.before);
    if (!trouble.empty())
        return Error{trouble};
    const uint64_t began_ns = now_ns();
    if (const auto started = start_processes(plan, shared); !started)
        return Error{started.error()};
    wait_for_connections(plan, shared);
    outcome.connect_ns = now_ns() - began_ns;
    usleep(kSettleUs);
    look(outcome.connected);
    sleep(static_cast<unsigned>(plan.hold_s));
    look(outcome.held);
    enter(plan, shared, Phase::kRun);
    outcome.published = Publisher(plan, shared).run();
    shared.messages = outcome.published.messages;
    enter(plan, shared, Phase::kDrain);
    wait_for(plan, shared.sum(&Tally::expected), [&] { return shared.sum(&Tally::deliveries); });
    look(outcome.after);
    if (!finish(plan, shared))
        return Error{"a process that subscribes has failed"};
    return trouble.empty() ? Result(outcome) : Error{trouble};
}

void tell_trouble(const Shared& shared, const Outcome& outcome) {
    for (const Tally& tally : shared.tallies)
        if (tally.trouble[0])
            return warn(std::string("a subscriber: ") + tally.trouble);
    if (!outcome.published.trouble.empty())
        warn("publishing: " + outcome.published.trouble);
}

} // namespace

int bench(const Arguments& arguments) {
    const auto plan = make_plan(arguments);
    if (!plan) {
        warn(plan.error());
        return kUsage;
    }
    raise_descriptor_limit();
    Shared& shared = make_shared_counters(static_cast<unsigned>(plan->processes));
    const auto outcome = run(*plan, shared);
    if (!outcome)
        return fail(outcome.error());
    tell_trouble(shared, *outcome);
    const Json report = make_report(*plan, shared, *outcome);
    for (const std::string& row : plan->as_json ? std::vector{report.dump()} : table_rows(report))
        if (!print_line(row))
            return output_code();
    return is_clean(report) ? kOk : kFailed;
}

} // namespace fanhorn::ctl
