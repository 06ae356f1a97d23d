// SPDX-License-Identifier: Apache-2.0
// The answers of polls that a message has ended: sent by one call of the system for many of them.
#pragma once

#include "net/ring.h"

#include <string>
#include <vector>

namespace fanhorn {

class Connection;

// One worker's. Empty outside of Worker::flush: nothing is read or freed while answers wait here.
class AnswerBatch {
  public:
    // Without a ring it takes nothing.
    void set_ring(Ring* ring) { ring_ = ring; }
    void open() { is_open_ = ring_ != nullptr; }
    bool is_open() const { return is_open_; }
    // The connection is told by on_answer_sent(), perhaps before this returns.
    void add(Connection& connection, std::string bytes);
    void run();
    void close();

  private:
    struct Item {
        Connection* connection;
        std::string bytes;
    };
    Ring* ring_ = nullptr;
    bool is_open_ = false;
    std::vector<Item> items_;
};

} // namespace fanhorn
