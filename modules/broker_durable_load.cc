// SPDX-License-Identifier: Apache-2.0
// How a durable broker begins: its log becomes what it keeps in memory.
#include "base/log.h"
#include "modules/broker_durable.h"
#include "modules/broker_local_load.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kMaxLosses = 64; // beyond, two become one

} // namespace

class DurableBroker::LogLoader final : public Loader {
  public:
    explicit LogLoader(DurableBroker& broker) : Loader(broker), broker_(broker) {}

    bool on_loss(const LostStretch& lost) override {
        if (lost.after > lost.upto)
            return false;
        broker_.add_loss(lost);
        return true;
    }

  private:
    // The first segment's header has been read by the first entry.
    void prepare() override {
        broker_.epoch_ = broker_.store_->epoch();
        broker_.name_key_ = broker_.store_->key();
    }
    Millis clock_of(Millis logged) const override { return broker_.clock_of(logged); }

    DurableBroker& broker_;
};

// False: it is known. Those that overlap are one: a reader goes from one to the next.
bool DurableBroker::add_loss(LostStretch lost) {
    const auto has = [](const LostStretch& all, const LostStretch& part) {
        return all.after <= part.after && part.upto <= all.upto;
    };
    for (const LostStretch& each : losses_)
        if (has(each, lost))
            return false;
    std::erase_if(losses_, [&](const LostStretch& each) {
        if (each.upto < lost.after || lost.upto < each.after)
            return false;
        lost = {std::min(lost.after, each.after), std::max(lost.upto, each.upto)};
        return true;
    });
    const auto is_before = [](const LostStretch& a, const LostStretch& b) {
        return a.after < b.after;
    };
    losses_.insert(std::upper_bound(losses_.begin(), losses_.end(), lost, is_before), lost);
    if (losses_.size() > kMaxLosses) {
        losses_[1].after = losses_[0].after;
        losses_.erase(losses_.begin());
    }
    return true;
}

Result<void> DurableBroker::start() {
    const int64_t begin = monotonic_micros();
    wall_offset_ = wall_() - clock_.now();
    LogLoader loader(*this);
    const auto opened = store_->open(loader);
    if (!opened)
        return Error{opened.error()};
    loader.finish();
    given_ = head_ = std::max(opened->head, loader.last());
    pushed_.store(head_, std::memory_order_release);
    if (opened->cut_bytes)
        log_event(LogLevel::Warning, "broker_log_cut",
                  {{"broker", name_}, {"bytes", opened->cut_bytes}});
    for (const LostStretch& lost : opened->lost) {
        if (!add_loss(lost))
            continue; // it has been said
        log_event(LogLevel::Warning, "broker_log_lost",
                  {{"broker", name_}, {"after", lost.after}, {"upto", lost.upto}});
        log_loss(entries_, lost);
    }
    if (!entries_.empty())
        if (auto written = store_->commit(entries_, head_ + 1); !written)
            return written;
    is_checkpoint_wanted_ = !opened->was_closed;
    log_event(LogLevel::Notice, "broker_log_opened",
              {{"broker", name_},
               {"messages", loader.messages()},
               {"channels", channels_.size()},
               {"bytes", store_->bytes()},
               {"ms", (monotonic_micros() - begin) / 1000}});
    has_started_ = true;
    if (turn_ == Turn::Thread)
        writer_ = std::thread([this] { write(); });
    return {};
}

} // namespace fanhorn
