// SPDX-License-Identifier: Apache-2.0
// How a local broker begins with entries of a log; for its own files.
#pragma once

#include "modules/broker_local_channel.h"

#include <utility>

namespace fanhorn {

// Before anybody else knows of the broker: no lock.
class LocalBroker::Loader : public LogReader {
  public:
    explicit Loader(LocalBroker& broker);
    ~Loader() override;

    bool on_message(LoggedMessage&& logged) override;
    bool on_removal(const std::string& name, uint64_t seq) override;
    bool on_marker(const std::string& user, const std::string& channel, uint64_t seq) override;
    bool on_channel(const std::string& name, uint64_t n, uint64_t trimmed) override;
    bool on_watermark(size_t index, uint64_t seq) override;
    bool on_key(LoggedKey&& key) override;

    // Behind the last entry.
    void finish();
    uint64_t last() const { return last_; }
    uint64_t messages() const { return messages_; }

  private:
    // Before each entry.
    virtual void prepare() = 0;
    // A time of an entry, by the broker's clock.
    virtual Millis clock_of(Millis logged) const = 0;

    Channel* find_or_make(const std::string& name, uint64_t seq);
    template <typename Change> void reset(Channel& channel, Change change);
    bool append(Channel& channel, const MessageRef& message);
    void remember_key(const std::string& channel, const std::string& key,
                      const IdempotencyKeys::Entry& entry, Millis used_at);

    LocalBroker& broker_;
    const Millis now_;
    const uint32_t most_channels_; // those that were freed are there again until the end
    uint64_t last_ = 0, messages_ = 0;
    std::vector<Channel*> made_;
    Garbage garbage_;
};

} // namespace fanhorn
