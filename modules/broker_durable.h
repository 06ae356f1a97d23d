// SPDX-License-Identifier: Apache-2.0
// The local broker with a log on the disk: what it has acknowledged is there after a restart.
//
// Calls that change something queue for one writer, which takes all that wait as a group: under
// the sequencer's lock they get their places, then the group goes to the disk, then, under the lock
// again, it becomes visible, in the same order. So nobody is sent what a crash could take back, and
// a subscriber waits for the disk exactly as its publisher does. Loops never do.
#pragma once

#include "modules/broker_local.h"
#include "modules/log_store.h"

#include <condition_variable>
#include <thread>

namespace fanhorn {

class DurableBroker final : public LocalBroker {
  public:
    enum class Turn : uint8_t {
        Thread, // the writer has one
        Caller, // each call is the writer in its turn: for tests that want all in one order
    };
    struct Seams {
        std::unique_ptr<Disk> disk;
        std::string boot; // as LogStore has it
        std::function<Millis()> wall = wall_millis;
        Turn turn = Turn::Thread;
        uint64_t slack_bytes = 64 << 20; // of the log, beyond twice what is kept
        uint64_t segment_bytes = 64 << 20;
        int64_t sync_micros = 1'000'000;  // of LogSync::EverySecond
        int64_t pause_micros = 1'000'000; // from a failure of the disk to the next attempt
    };
    static Seams system_seams(const std::string& path);

    DurableBroker(const BrokerSettings& settings, Seams seams, const Clock& clock,
                  Counters& counters);
    // Without stop() before, as a crash leaves it.
    ~DurableBroker() override;

    // Reads the log, which blocks for as long as that takes.
    Result<void> start() override;
    // What is under way is stored.
    void stop() override;
    Keeps keeps() const override { return Keeps::Disk; }

    // On a thread without a mailbox these three return when it is done.
    void publish(std::vector<Draft> drafts,
                 std::function<void(std::vector<Published>)> done) override;
    void remove(const std::string& channel, std::function<void(Removal)> done) override;
    void mark(ReadMark mark, std::function<void(Marked)> done) override;
    bool attend(const std::string& channel, const Attendee& who,
                const ConnectionId& connection) override;
    bool is_up() const override { return !has_failed_; }
    void tick() override;

  private:
    class Job;
    class PublishJob;
    class RemoveJob;
    class MarkJob;
    class TellJob;
    class LogLoader;
    struct Checkpoint;
    using Jobs = std::vector<std::unique_ptr<Job>>;

    void tell(const std::string& channel, MessageKind kind, const Attendee& who,
              const ConnectionId& exclude) override;
    bool add_loss(LostStretch lost);
    Millis wall_of(Millis at) const { return at + wall_offset_; }
    Millis clock_of(Millis wall) const { return std::min(wall - wall_offset_, clock_.now()); }

    bool waits() const { return turn_ == Turn::Caller || !Mailbox::of_this_thread(); }
    void enqueue(std::unique_ptr<Job> job);
    bool queue(std::unique_ptr<Job>& job);
    void take_turns();
    Jobs next_group();

    // The writer's.
    void write();
    bool wait_for_work();
    void run_group(Jobs jobs);
    uint64_t stage_all(Jobs& jobs, After& after);
    static void log_staged(std::string& entries, const Staged& staged, Millis wall,
                           std::string_view key = {}, const Digest* content = nullptr);
    void settle(Jobs& jobs, bool is_stored, bool is_safe, After& after);
    bool commit(std::string_view entries, uint64_t head);
    void answer(Jobs jobs);
    void maintain();
    void sync_log(int64_t now);
    void note_failure(std::string_view reason);
    void note_success();
    bool is_away() const;
    bool is_checkpoint_due();
    bool begin_checkpoint();
    bool go_on_with_checkpoint();
    bool end_checkpoint();
    bool write_checkpoint();
    bool dispel_doubt();
    void give_up_checkpoint(std::string_view reason);
    void copy_channels();
    bool copy_rest();

    const std::string name_;
    const LogSync sync_;
    const Turn turn_;
    const size_t queue_limit_; // bytes
    const uint64_t slack_bytes_;
    const int64_t sync_micros_, pause_micros_;
    const std::function<Millis()> wall_;
    Millis wall_offset_ = 0; // from clock_
    std::unique_ptr<LogStore> store_;
    // By what a group's marks move them, until they do; under mutex_.
    std::unordered_map<std::string, uint64_t, KeyedHash, std::equal_to<>> staged_markers_;

    std::mutex queue_mutex_;
    std::condition_variable is_wanted_;
    std::deque<std::unique_ptr<Job>> queue_;
    size_t queued_bytes_ = 0;
    bool is_stopping_ = false;
    bool has_started_ = false; // and has not been stopped
    bool is_nudged_ = false;
    std::thread writer_;
    std::mutex turn_mutex_; // Turn::Caller

    // The writer's own.
    std::unique_ptr<Checkpoint> checkpoint_;
    bool is_checkpoint_wanted_ = false;
    uint64_t checkpoint_bytes_ = 0; // of the last one
    std::atomic<bool> has_failed_ = false;
    int64_t retry_at_ = 0, synced_at_ = 0, checkpoint_at_ = 0; // micros
    std::string entries_;
};

} // namespace fanhorn
