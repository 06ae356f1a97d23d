// SPDX-License-Identifier: Apache-2.0
#include "modules/modules.h"

#include "modules/deflate.h"

namespace fanhorn {

extern const TransportModule transport_websocket;
extern const TransportModule transport_sse;
extern const TransportModule transport_longpoll;
extern const TransportModule transport_poll;
extern const BrokerModule broker_local;
extern const BrokerModule broker_redis;
extern const AuthModule auth_jwt;
extern const AuthModule auth_bearer;
extern const AuthModule auth_callback;

std::span<const TransportModule* const> transport_modules() {
    static constexpr const TransportModule* kModules[] = {
        &transport_websocket,
        &transport_sse,
        &transport_longpoll,
        &transport_poll,
    };
    return kModules;
}

std::span<const BrokerModule* const> broker_modules() {
    static constexpr const BrokerModule* kModules[] = {
        &broker_local,
        &broker_redis,
    };
    return kModules;
}

std::span<const AuthModule* const> auth_modules() {
    static constexpr const AuthModule* kModules[] = {
        &auth_jwt,
        &auth_bearer,
        &auth_callback,
    };
    return kModules;
}

std::string_view compression_library_version() {
    return deflate_library_version();
}

} // namespace fanhorn
