// SPDX-License-Identifier: Apache-2.0
// The NATS broker's entries on their way to the stream: the thread that sends them, and who waits
// for what becomes of them.
#include "modules/broker_local_channel.h"
#include "modules/broker_nats.h"
#include "modules/broker_nats_snapshot.h"

#include <pthread.h>
#include <signal.h>

namespace fanhorn {

namespace {
constexpr size_t kSentAtOnce = 256;
} // namespace

// ---- entries on their way

NatsEntry NatsBroker::entry(Kind kind) const {
    NatsEntry entry;
    entry.kind = kind;
    entry.node = self_;
    entry.at = shared_now();
    return entry;
}

// What others ask for has a limit; what we say ourselves has bounds of its own.
static bool is_asked(const NatsEntry& entry) {
    return entry.kind == NatsEntry::Kind::Message || entry.kind == NatsEntry::Kind::Removal ||
           entry.kind == NatsEntry::Kind::Mark || entry.kind == NatsEntry::Kind::Away;
}

void NatsBroker::submit(std::vector<NatsEntry> entries, const std::shared_ptr<Command>& command,
                        std::string_view topic) {
    command->open = entries.size();
    command->home = home();
    std::vector<Outgoing> outgoing;
    for (NatsEntry& each : entries) {
        each.request = next_request_.fetch_add(1, std::memory_order_relaxed);
        outgoing.push_back({topic, encode_entry(each), each.request});
    }
    std::vector<size_t> refused;
    bool is_full = false;
    {
        std::lock_guard lock(queue_mutex_);
        for (size_t i = 0; i < outgoing.size(); ++i) {
            const size_t bytes = outgoing[i].bytes.size();
            const bool has_room = waiting_.size() < settings_.commands &&
                                  bytes_under_way_ + bytes <= kMostBytesUnderWay;
            const bool is_lost = !is_up_ || is_stopping_ || bytes > max_entry_;
            if (is_lost || (!has_room && is_asked(entries[i]))) {
                is_full = is_full || !is_lost;
                refused.push_back(i);
                continue;
            }
            bytes_under_way_ += bytes;
            waiting_[outgoing[i].request] = {command, i, bytes, wire_clock_.now()};
            queue_.push_back(std::move(outgoing[i]));
        }
    }
    is_wanted_.notify_all();
    if (is_full)
        count_full();
    for (const size_t index : refused)
        settle_one({command, index}, {});
}

void NatsBroker::count_full() {
    After after;
    {
        std::lock_guard lock(mutex_);
        reached(Limit::Commands);
        take(after);
    }
    after.run();
}

void NatsBroker::settle(uint64_t request, const Outcome& outcome) {
    Waiting waiting;
    {
        std::lock_guard lock(queue_mutex_);
        const auto found = waiting_.find(request);
        if (found == waiting_.end()) // it took too long
            return;
        waiting = std::move(found->second);
        bytes_under_way_ -= waiting.bytes;
        waiting_.erase(found);
    }
    settle_one(waiting, outcome);
}

// What `answer` holds may belong to the worker's thread: it goes there.
void NatsBroker::settle_one(const Waiting& waiting, const Outcome& outcome) {
    Command& command = *waiting.command;
    if (command.settle)
        command.settle(waiting.index, outcome);
    if (command.open.fetch_sub(1, std::memory_order_acq_rel) == 1 && command.answer)
        command.home(std::move(command.answer));
}

// ---- the sender

bool NatsBroker::wait_for_work() {
    std::unique_lock lock(queue_mutex_);
    is_wanted_.wait(lock,
                    [this] { return (link_ && !queue_.empty()) || is_nudged_ || is_stopping_; });
    return !is_stopping_;
}

void NatsBroker::send() {
    sigset_t all;
    sigfillset(&all); // signals are the main thread's
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pthread_setname_np(pthread_self(), "fanhorn/natsout");
    while (wait_for_work()) {
        while (send_some()) {
        }
        bool is_nudged = false;
        {
            std::lock_guard lock(queue_mutex_);
            is_nudged = std::exchange(is_nudged_, false);
        }
        if (!is_nudged || !is_up_)
            continue;
        say_who_is_here();
        bury_the_dead();
        begin_snapshot();
        go_on_with_snapshot();
        purge();
    }
}

// False: there is no more.
bool NatsBroker::send_some() {
    std::vector<Outgoing> batch;
    std::shared_ptr<NatsLink> link;
    {
        std::lock_guard lock(queue_mutex_);
        link = link_;
        while (link && !queue_.empty() && batch.size() < kSentAtOnce) {
            batch.push_back(std::move(queue_.front()));
            queue_.pop_front();
        }
    }
    for (const Outgoing& each : batch)
        if (auto sent = link->publish(each.topic, each.bytes, each.request); !sent) {
            link->close(); // whoever waits is answered by the follower, which loses it
            break;
        }
    return !batch.empty();
}

} // namespace fanhorn
