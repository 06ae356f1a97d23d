// SPDX-License-Identifier: Apache-2.0
#include "modules/broker_durable.h"

#include "base/log.h"
#include "modules/broker_durable_checkpoint.h"
#include "modules/broker_durable_jobs.h"

#include <algorithm>
#include <csignal>
#include <fstream>
#include <pthread.h>
#include <semaphore>

namespace fanhorn {

namespace {

// So much goes to the disk at once.
constexpr size_t kMaxGroupBytes = 4 << 20, kMaxGroupJobs = 4096;

// "" where the system does not say.
std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

// Asks with a `done` of its own, and calls the other one when that was called, here.
template <typename T, typename Ask> void wait_for(const std::function<void(T)>& done, Ask ask) {
    T result{};
    std::binary_semaphore is_there(0);
    ask([&](T value) {
        result = std::move(value);
        is_there.release();
    });
    is_there.acquire();
    done(std::move(result));
}

} // namespace

DurableBroker::Seams DurableBroker::system_seams(const std::string& path) {
    Seams seams;
    seams.disk = system_disk(path);
    seams.boot = boot_id();
    return seams;
}

DurableBroker::DurableBroker(const BrokerSettings& settings, Seams seams, const Clock& clock,
                             Counters& counters)
    : LocalBroker(clock, counters), name_(settings.name), sync_(settings.sync), turn_(seams.turn),
      queue_limit_(settings.log_queue), slack_bytes_(seams.slack_bytes),
      sync_micros_(seams.sync_micros), pause_micros_(seams.pause_micros),
      wall_(std::move(seams.wall)),
      store_(std::make_unique<LogStore>(std::move(seams.disk), settings.sync, seams.boot)) {
    store_->set_segment_bytes(seams.segment_bytes);
}

DurableBroker::~DurableBroker() {
    if (!writer_.joinable())
        return;
    {
        std::lock_guard lock(queue_mutex_);
        is_stopping_ = true;
    }
    is_wanted_.notify_one();
    writer_.join();
}

// ---- calls

void DurableBroker::publish(std::vector<Draft> drafts,
                            std::function<void(std::vector<Published>)> done) {
    if (!waits())
        return enqueue(std::make_unique<PublishJob>(std::move(drafts), std::move(done)));
    wait_for<std::vector<Published>>(done, [&](auto then) {
        enqueue(std::make_unique<PublishJob>(std::move(drafts), std::move(then)));
    });
}

void DurableBroker::remove(const std::string& channel, std::function<void(Removal)> done) {
    if (!waits())
        return enqueue(std::make_unique<RemoveJob>(channel, std::move(done)));
    wait_for<Removal>(
        done, [&](auto then) { enqueue(std::make_unique<RemoveJob>(channel, std::move(then))); });
}

void DurableBroker::mark(ReadMark mark, std::function<void(Marked)> done) {
    if (!waits())
        return enqueue(std::make_unique<MarkJob>(std::move(mark), std::move(done)));
    wait_for<Marked>(done, [&](auto then) {
        enqueue(std::make_unique<MarkJob>(std::move(mark), std::move(then)));
    });
}

bool DurableBroker::attend(const std::string& channel, const Attendee& who,
                           const ConnectionId& connection) {
    const bool has_entered = LocalBroker::attend(channel, who, connection);
    take_turns();
    return has_entered;
}

// Under the sequencer's lock: in the order in which they came and went. Beyond the queue's limit
// nobody is told.
void DurableBroker::tell(const std::string& channel, MessageKind kind, const Attendee& who,
                         const ConnectionId& exclude) {
    std::unique_ptr<Job> job = std::make_unique<TellJob>(channel, kind, who, exclude);
    if (!queue(job))
        reached(Limit::LogQueue);
}

void DurableBroker::tick() {
    LocalBroker::tick();
    {
        std::lock_guard lock(queue_mutex_);
        is_nudged_ = true;
    }
    is_wanted_.notify_one();
    take_turns();
}

// ---- the queue

// False: it is full, and the job is left.
bool DurableBroker::queue(std::unique_ptr<Job>& job) {
    {
        std::lock_guard lock(queue_mutex_);
        const size_t bytes = job->bytes();
        if (queued_bytes_ + bytes > queue_limit_ && !queue_.empty())
            return false;
        queued_bytes_ += bytes;
        queue_.push_back(std::move(job));
    }
    is_wanted_.notify_one();
    return true;
}

void DurableBroker::enqueue(std::unique_ptr<Job> job) {
    if (turn_ == Turn::Thread)
        job->box = Mailbox::of_this_thread();
    if (!queue(job)) {
        After after;
        {
            std::lock_guard lock(mutex_);
            reached(Limit::LogQueue);
            job->drop(*this);
            take(after);
        }
        after.run();
        return job->answer();
    }
    take_turns();
}

DurableBroker::Jobs DurableBroker::next_group() {
    std::lock_guard lock(queue_mutex_);
    Jobs group;
    size_t bytes = 0;
    while (!queue_.empty() && group.size() < kMaxGroupJobs && bytes < kMaxGroupBytes) {
        bytes += queue_.front()->bytes();
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    queued_bytes_ -= bytes;
    return group;
}

void DurableBroker::take_turns() {
    if (turn_ == Turn::Thread)
        return;
    std::lock_guard turn(turn_mutex_);
    for (Jobs group = next_group(); !group.empty(); group = next_group())
        run_group(std::move(group));
    maintain();
}

// ---- the writer

void DurableBroker::write() {
    pthread_setname_np(pthread_self(), "fanhorn/log");
    while (wait_for_work()) {
        run_group(next_group());
        maintain();
    }
}

// False: all is done, and there will be no more.
bool DurableBroker::wait_for_work() {
    std::unique_lock lock(queue_mutex_);
    const auto is_wanted = [this] { return !queue_.empty() || is_nudged_ || is_stopping_; };
    if (!checkpoint_)
        is_wanted_.wait(lock, is_wanted);
    is_nudged_ = false;
    return !queue_.empty() || !is_stopping_;
}

void DurableBroker::run_group(Jobs jobs) {
    if (jobs.empty())
        return;
    After after;
    if (!is_away())
        dispel_doubt(); // before anything of the group is among what a checkpoint copies
    const uint64_t head = stage_all(jobs, after);
    const bool needs_store = !entries_.empty() || head > store_->ceiling();
    const bool is_stored = !needs_store || commit(entries_, head);
    settle(jobs, is_stored, head <= store_->ceiling(), after);
    after.run();
    answer(std::move(jobs));
}

// Returns the newest seq that was given.
uint64_t DurableBroker::stage_all(Jobs& jobs, After& after) {
    entries_.clear();
    std::lock_guard lock(mutex_);
    const Millis now = clock_.now();
    wall_offset_ = wall_() - now; // clocks are set, and machines sleep
    for (const auto& job : jobs)
        job->stage(*this, now, entries_);
    take(after);
    return given_;
}

// `is_safe`: the seqs that were given will not be given again, whatever was stored of them.
void DurableBroker::settle(Jobs& jobs, bool is_stored, bool is_safe, After& after) {
    Garbage garbage; // freed outside the lock
    std::lock_guard lock(mutex_);
    const auto goes_on = [&](const Job& job) {
        return is_stored || (is_safe && !job.needs_store());
    };
    for (auto job = jobs.rbegin(); job != jobs.rend(); ++job)
        if (!goes_on(**job))
            (*job)->drop(*this);
    for (const auto& job : jobs)
        if (goes_on(*job))
            job->apply(*this, garbage);
    staged_markers_.clear();
    pushed_.store(head_, std::memory_order_release);
    for (const Limit limit : reached_)
        after.reached.push_back(limit);
    reached_.clear();
    after.filled.swap(filled_);
}

bool DurableBroker::is_away() const {
    return has_failed_ && monotonic_micros() < retry_at_;
}

// What may be lost is written down again. False: it cannot be, and nothing counts until then.
bool DurableBroker::dispel_doubt() {
    return !store_->is_in_doubt() || write_checkpoint();
}

bool DurableBroker::commit(std::string_view entries, uint64_t head) {
    if (is_away() || store_->is_in_doubt())
        return false;
    const int64_t begin = monotonic_micros();
    if (auto done = store_->commit(entries, head); !done) {
        note_failure(done.error());
        return false;
    }
    counters_.log_commit.observe(monotonic_micros() - begin);
    note_success();
    return true;
}

void DurableBroker::note_failure(std::string_view reason) {
    counters_.log_errors.add(1);
    retry_at_ = monotonic_micros() + pause_micros_;
    if (!has_failed_.exchange(true))
        log_event(LogLevel::Error, "broker_log_failed", {{"broker", name_}, {"reason", reason}});
}

void DurableBroker::note_success() {
    if (has_failed_.exchange(false))
        log_event(LogLevel::Notice, "broker_log_recovered", {{"broker", name_}});
}

// Each worker is woken once, whatever of its was done.
void DurableBroker::answer(Jobs jobs) {
    std::vector<std::pair<Mailbox*, std::shared_ptr<Jobs>>> of_boxes;
    for (auto& job : jobs) {
        if (!job->box) {
            job->answer();
            continue;
        }
        auto of_box = std::find_if(of_boxes.begin(), of_boxes.end(),
                                   [&](const auto& each) { return each.first == job->box; });
        if (of_box == of_boxes.end())
            of_box = of_boxes.insert(of_box, {job->box, std::make_shared<Jobs>()});
        of_box->second->push_back(std::move(job));
    }
    {
        std::lock_guard lock(queue_mutex_);
        if (is_stopping_) // there is nobody
            return;
    }
    for (auto& [box, of_box] : of_boxes) // they end where they are answered
        box->post([done = std::move(of_box)] {
            for (const auto& job : *done)
                job->answer();
        });
}

// What is due beside the groups.
void DurableBroker::maintain() {
    const int64_t now = monotonic_micros();
    if (has_failed_ && now >= retry_at_ && dispel_doubt())
        commit({}, 0);
    sync_log(now);
    if (!checkpoint_ && !is_away() && is_checkpoint_due())
        begin_checkpoint();
    if (checkpoint_)
        go_on_with_checkpoint();
    counters_.log_bytes.set(store_->bytes());
}

void DurableBroker::sync_log(int64_t now) {
    if (sync_ != LogSync::EverySecond || store_->is_in_doubt() || now - synced_at_ < sync_micros_)
        return;
    synced_at_ = now;
    if (auto synced = store_->sync(); !synced)
        note_failure(synced.error());
}

// ---- start and stop

void DurableBroker::stop() {
    if (!std::exchange(has_started_, false))
        return;
    if (writer_.joinable()) {
        {
            std::lock_guard lock(queue_mutex_);
            is_stopping_ = true;
        }
        is_wanted_.notify_one();
        writer_.join();
    }
    if (!dispel_doubt())
        return; // the next start has to know of it
    if (auto closed = store_->close(given_); !closed)
        log_event(LogLevel::Error, "broker_log_not_closed",
                  {{"broker", name_}, {"reason", closed.error()}});
}

} // namespace fanhorn
