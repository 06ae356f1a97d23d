// SPDX-License-Identifier: Apache-2.0
// One process's subscribers.
#pragma once

#include "ctl/bench_reader.h"
#include "ctl/socket.h"

#include <utility>
#include <vector>

namespace fanhorn::ctl::load {

// Subscribers process, process + processes, ... of the plan: connects them and reads until
// Phase::kFinish.
class Subscribers {
  public:
    Subscribers(const Plan& plan, Shared& shared, unsigned process);

    void run();

  private:
    uint64_t index_of(size_t i) const { return process_ + i * plan_.processes; }
    uint64_t settled() const { return tally_.connected.get() + tally_.failed.get(); }
    bool may_connect() const;
    int patience_ms() const;
    void connect_more();
    void connect_one(size_t i);
    bool open_socket(Subscriber& subscriber, size_t i);
    void on_event(size_t i, uint32_t events);
    void obey(size_t i, Reader::Verdict verdict);
    void stop_reading(Subscriber& subscriber);
    void give_up(Subscriber& subscriber);
    void enter(Phase phase);
    void begin_run();
    void count_expected();
    bool drain(Subscriber& subscriber);
    void find_closed();
    void close_all();
    void finish();

    const Plan& plan_;
    Shared& shared_;
    const unsigned process_;
    Tally& tally_;
    Reader reader_;
    Socket epoll_;
    std::vector<Subscriber> subscribers_;
    size_t started_ = 0;
    uint64_t began_ns_;
};

} // namespace fanhorn::ctl::load
