// SPDX-License-Identifier: Apache-2.0
// What this build can do. THE list is in modules.cc, kept by hand.
#pragma once

#include "relay/broker.h"
#include "relay/identity.h"
#include "relay/transport.h"

#include <span>

namespace fanhorn {

// In the order of negotiation.
std::span<const TransportModule* const> transport_modules();
std::span<const BrokerModule* const> broker_modules();
std::span<const AuthModule* const> auth_modules();
// Null where there is none of that name, or it was left out of the build.
const BrokerModule* find_broker_module(std::string_view name);
// The library that compresses, for -V.
std::string_view compression_library_version();

} // namespace fanhorn
