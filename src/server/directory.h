// SPDX-License-Identifier: Apache-2.0
// What a channel name leads to on a worker: its settings, and the broker behind it.
#pragma once

#include "relay/hub.h"
#include "server/config.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace fanhorn {

// The rules of a configuration, as the relay sees them.
class ConfigRules final : public Rules {
  public:
    explicit ConfigRules(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
    const ChannelSettings* settings_for(std::string_view channel) const override {
        return config_->settings_for(channel);
    }

    const ChannelSettings* settings_for_wildcard(const Pattern& pattern) const override {
        const ChannelSettings* settings = config_->settings_for_wildcard(pattern);
        return settings && settings->wildcard ? settings : nullptr;
    }

  private:
    std::shared_ptr<const Config> config_;
};

// Belongs to a worker. The configuration changes whole; the brokers stay.
class Directory {
  public:
    void set_config(std::shared_ptr<const Config> config) { config_ = std::move(config); }
    void add_broker(const std::string& name, BrokerEnd& end) { ends_[name] = &end; }

    const Config& config() const { return *config_; }
    // Null where no section matches, or none all that a wildcard does.
    const ChannelSettings* settings_for(std::string_view channel) const {
        if (!is_wildcard(channel))
            return config_->settings_for(channel);
        const auto pattern = Pattern::parse(channel);
        return pattern ? config_->settings_for_wildcard(*pattern) : nullptr;
    }
    BrokerEnd& end_for(const ChannelSettings& settings) const { return *ends_.at(settings.broker); }
    const std::map<std::string, BrokerEnd*>& ends() const { return ends_; }

  private:
    std::shared_ptr<const Config> config_;
    std::map<std::string, BrokerEnd*> ends_; // "" is the built-in one
};

} // namespace fanhorn
