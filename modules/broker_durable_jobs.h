// SPDX-License-Identifier: Apache-2.0
// The calls that wait for a durable broker's writer; for its own files.
#pragma once

#include "modules/broker_durable.h"
#include "modules/broker_local_channel.h"

namespace fanhorn {

class DurableBroker::Job {
  public:
    virtual ~Job() = default;
    // Gives it its places, and says what of it is to be stored. Under the sequencer's lock, as the
    // next two.
    virtual void stage(DurableBroker& broker, Millis now, std::string& entries) = 0;
    // It is stored: everybody may see it.
    virtual void apply(DurableBroker& broker, Garbage& garbage) = 0;
    // It could not be stored, or not even be staged. Jobs are dropped from the last to the first.
    virtual void drop(DurableBroker& broker) = 0;
    // On the thread that asked.
    virtual void answer() {}
    virtual bool needs_store() const { return true; }
    virtual size_t bytes() const = 0; // in the queue

    Mailbox* box = nullptr; // of the worker that asked; null: the writer answers
};

class DurableBroker::PublishJob final : public Job {
  public:
    using Done = std::function<void(std::vector<Published>)>;
    PublishJob(std::vector<Draft> drafts, Done done);
    void stage(DurableBroker& broker, Millis now, std::string& entries) override;
    void apply(DurableBroker& broker, Garbage& garbage) override;
    void drop(DurableBroker& broker) override;
    void answer() override { done_(std::move(results_)); }
    size_t bytes() const override;

  private:
    struct Step {
        size_t index;
        Staged staged;
    };
    void take_back(DurableBroker& broker, const Step& step);
    std::vector<Draft> drafts_;
    std::vector<Digest> contents_; // of those with a key
    const Done done_;
    std::vector<Published> results_;
    std::vector<Step> steps_;
};

class DurableBroker::RemoveJob final : public Job {
  public:
    RemoveJob(std::string channel, std::function<void(Removal)> done)
        : name_(std::move(channel)), done_(std::move(done)) {}
    void stage(DurableBroker& broker, Millis now, std::string& entries) override;
    void apply(DurableBroker& broker, Garbage& garbage) override;
    void drop(DurableBroker& broker) override;
    void answer() override { done_(result_); }
    size_t bytes() const override { return sizeof *this + name_.size(); }

  private:
    const std::string name_;
    const std::function<void(Removal)> done_;
    Channel* channel_ = nullptr;
    uint64_t seq_ = 0;
    Removal result_ = Removal::Down;
};

class DurableBroker::MarkJob final : public Job {
  public:
    MarkJob(ReadMark mark, std::function<void(Marked)> done)
        : mark_(std::move(mark)), done_(std::move(done)) {}
    void stage(DurableBroker& broker, Millis now, std::string& entries) override;
    void apply(DurableBroker& broker, Garbage& garbage) override;
    void drop(DurableBroker& broker) override;
    void answer() override { done_(result_); }
    size_t bytes() const override { return sizeof *this + mark_.told.payload.size(); }

  private:
    ReadMark mark_;
    const std::function<void(Marked)> done_;
    Marked result_;
    Staged told_;
};

// Who came or went: told, and not stored.
class DurableBroker::TellJob final : public Job {
  public:
    TellJob(std::string channel, MessageKind kind, Attendee who, const ConnectionId& exclude)
        : channel_(std::move(channel)), kind_(kind), who_(std::move(who)), exclude_(exclude) {}
    void stage(DurableBroker& broker, Millis now, std::string& entries) override;
    void apply(DurableBroker& broker, Garbage& garbage) override;
    void drop(DurableBroker& broker) override;
    bool needs_store() const override { return false; }
    size_t bytes() const override {
        return sizeof *this + channel_.size() + who_.user.size() + who_.info.size();
    }

  private:
    const std::string channel_;
    const MessageKind kind_;
    const Attendee who_;
    const ConnectionId exclude_;
    Staged staged_;
};

} // namespace fanhorn
