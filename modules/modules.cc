// SPDX-License-Identifier: Apache-2.0
#include "modules/modules.h"

#include "modules/deflate.h"

namespace fanhorn {

extern const TransportModule transport_websocket;
extern const TransportModule transport_sse;
extern const TransportModule transport_longpoll;
extern const TransportModule transport_poll;
extern const BrokerModule broker_local;
#ifdef FANHORN_REDIS
extern const BrokerModule broker_redis;
#endif
#ifdef FANHORN_NATS
extern const BrokerModule broker_nats;
#endif
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
#ifdef FANHORN_REDIS
        &broker_redis,
#endif
#ifdef FANHORN_NATS
        &broker_nats,
#endif
    };
    return kModules;
}

const BrokerModule* find_broker_module(std::string_view name) {
    for (const BrokerModule* module : broker_modules())
        if (module->name == name)
            return module;
    return nullptr;
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
