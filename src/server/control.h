// SPDX-License-Identifier: Apache-2.0
// What an operator asks: facts of channels, health, metrics.
#pragma once

#include "http/request.h"
#include "server/answer.h"
#include "server/directory.h"

#include <string>

namespace fanhorn {

// Belongs to a worker. Each answers through `reply`, perhaps before it returns.
class Control {
  public:
    explicit Control(const Directory& directory) : directory_(directory) {}

    void channel(const std::string& name, Reply reply) const;
    // Channels of all brokers in the order of their names; query: prefix, cursor, limit.
    void channels(const http::Request& request, Reply reply) const;
    // Which users are on it.
    void presence(const std::string& name, Reply reply) const;
    void remove(const std::string& name, Reply reply) const;

  private:
    const Directory& directory_;
};

} // namespace fanhorn
