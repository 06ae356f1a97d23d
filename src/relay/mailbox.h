// SPDX-License-Identifier: Apache-2.0
// What other threads leave for a worker: one of the two locks in the program.
#pragma once

#include "base/hash.h"
#include "relay/message.h"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace fanhorn {

// Anything but a message; rare.
struct Notice {
    enum class Kind : uint8_t {
        Ended, // the backend deleted `channel` at `seq`
        Lost,  // messages of `channel` up to `seq` may not come this way: they are in the history
        Task,  // run `task` on the worker
    };
    Kind kind = Kind::Task;
    std::string channel;
    uint64_t seq = 0;
    std::function<void()> task;
};

struct Mail {
    MessageRef message; // or
    std::unique_ptr<Notice> notice;
};

// Written by any thread, emptied by its worker. Holds messages up to `capacity` bytes; beyond that
// only a mark (channel, newest seq), and the worker reads those channels' history again.
class Mailbox {
  public:
    // `wake` tells the worker that there is something; it may be called from any thread and must
    // not block.
    Mailbox(size_t capacity, std::function<void()> wake)
        : capacity_(capacity), wake_(std::move(wake)) {}

    // Messages of one broker must be pushed in the order of their positions. Returns whether the
    // box was empty: then wake() must follow, when the caller holds no lock.
    [[nodiscard]] bool push(const MessageRef& message);
    [[nodiscard]] bool push(std::unique_ptr<Notice> notice);
    void wake() const { wake_(); }
    // Runs `task` on the worker, behind what is already in the box. Wakes it.
    void post(std::function<void()> task);

    struct Batch {
        std::vector<Mail> mail;
        // Messages behind `mail` that did not fit: channel and its newest seq.
        std::unordered_map<std::string, uint64_t, KeyedHash, std::equal_to<>> marks;
        int64_t since_micros = 0; // when the oldest of it came; 0 for an empty batch
    };
    // Swaps the content with `batch`, whose capacity is used again. The worker only.
    void take(Batch& batch);

    void set_capacity(size_t bytes);

    // The box of the worker that runs on this thread, for whoever answers it later; null: none.
    static Mailbox* of_this_thread();
    void serve_this_thread();

  private:
    bool begin();

    std::mutex mutex_;
    std::vector<Mail> mail_;
    std::unordered_map<std::string, uint64_t, KeyedHash, std::equal_to<>> marks_;
    size_t bytes_ = 0;
    size_t capacity_;
    int64_t since_micros_ = 0;
    const std::function<void()> wake_;
};

} // namespace fanhorn
