// SPDX-License-Identifier: Apache-2.0
// The whole configuration as plain data: constant after loading, swapped whole on reload.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/net_address.h"
#include "base/result.h"
#include "relay/identity.h"
#include "relay/pattern.h"
#include "relay/settings.h"
#include "server/hook_settings.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fanhorn {

class TlsContext;

// Whose table of descriptors a worker's connections are in.
enum class Descriptors : uint8_t { Process, Worker };

struct ServerSettings {
    uint32_t workers = 0; // event loops; 0 is `auto`, one a core
    uint32_t max_connections = 1'000'000;
    Descriptors descriptors = Descriptors::Process;
    bool io_uring = true;
    Millis drain = 30'000; // QUIT spreads the closes over this time
    std::string pid_file;  // empty: none
    std::string user;      // whom root becomes; empty: nobody else
    std::string group;     // empty: that user's own
    bool core_dumps = false;
};

struct LogSettings {
    std::string target = "stderr"; // stderr | syslog | /path, reopened on USR1
    LogLevel level = LogLevel::Notice;
    LogFormat format = LogFormat::Text;
};

struct LimitSettings {
    size_t header_size = 16 << 10;  // request line and headers; 431
    uint32_t header_count = 100;    // header fields; 431
    size_t uri_size = 8 << 10;      // request target; 414
    Millis header_timeout = 10'000; // from the first byte, absolute; 408
    size_t body_size = 1 << 20;     // request body, and one NDJSON line; 413
    Millis body_timeout = 30'000;   // absolute, streamed NDJSON: between lines; 408
    Millis idle_timeout = 75'000;   // a kept-alive connection between requests; closed
    Millis send_timeout = 60'000;   // a peer that takes no byte of what is due to it; closed
    uint32_t subscriptions = 128;   // channels of one connection; 400
    uint32_t filters = 100;         // different ones of a channel's subscribers on a worker; 503
    uint32_t channels = 1'000'000;  // channels in one broker; 503
    uint32_t wildcards = 10'000;    // different ones in one broker; 503
    uint32_t wildcard_channels = 1'000;    // looked at for what one replays; a gap beyond
    uint32_t read_markers = 1'000'000;     // of users, in one broker; the oldest is forgotten
    uint32_t user_read_markers = 1'000;    // of one of them
    uint32_t auth_requests = 64;           // of a worker to one application; 503
    size_t mailbox_bytes = 64 << 20;       // messages on their way to one worker; beyond: marks
    uint32_t handshakes = 16;              // of TLS, in one turn of a worker; they wait
    uint32_t ws_fragments = 10'000;        // frames of one WebSocket message; 1009
    uint32_t http2_streams = 100;          // of one connection at a time; refused
    uint32_t http2_resets = 200;           // of its streams, a minute; closed
    uint32_t http2_frames = 200;           // that carry nothing, a second; closed
    uint32_t connections_per_address = 0;  // at a time, 0: no limit; 503 at the door
    Rate connection_rate;                  // of new ones from one address; 503 at the door
    Rate accept_rate;                      // of a worker, of all new ones; they wait
    uint32_t connections_per_user = 1'000; // subscribed ones, 0: no limit; 429
    uint32_t channels_per_user = 10'000;   // of all his connections, 0: no limit; 429
    Millis connection_max_age = 0;         // give or take a fifth, 0: any; told to go
    // Of the whole daemon, in bytes; up to 100 per cent of what there is. See MemoryLevel.
    uint64_t memory = 80;
};

enum class Http2 : uint8_t { On, Off, Cleartext };

// What a listener serves; bits of ListenerSettings::serve.
enum Serve : uint8_t {
    kServeSubscribe = 1,
    kServePublish = 2,
    kServeControl = 4,
    kServeMetrics = 8,
    kServeClient = 16,
};

struct Address {
    enum class Kind : uint8_t { Inet, Unix, Descriptor };
    Kind kind = Kind::Inet;
    std::string text; // as written
    // Inet: a literal address in canonical form, without brackets ("0.0.0.0" for '*'); Unix: the
    // path; Descriptor: NAME.
    std::string host;
    uint16_t port = 0; // Inet; 0 lets the kernel choose
};

struct ListenerSettings {
    std::string name;
    std::string origin; // FILE:LINE of the section
    std::vector<Address> addresses;
    uint8_t serve = 0;                // Serve bits
    std::vector<std::string> origins; // empty: any origin may read public channels, no credentials
    std::vector<std::string> hosts; // further names this listener answers to on publish and control
    std::string auth; // an [auth] section that publish and control ask for; "" for none
    std::shared_ptr<const Authority> authority;    // of that section
    bool proxy_protocol = false;                   // a header of HAProxy's begins each connection
    std::vector<Network> trusted_proxies;          // who may say where a client is
    std::vector<Network> allow;                    // whose clients may come; empty: all
    std::string tls;                               // a [tls] section; "" for none
    std::shared_ptr<const TlsContext> tls_context; // of that section
    Http2 http2 = Http2::On;
    uint32_t backlog = 4096;

    // Whether only programs of the operator's are there, which are answered when all else is full.
    bool is_private() const { return !(serve & (kServeSubscribe | kServeClient)); }
};

struct TlsSection {
    std::string name;
    std::vector<std::string> certificates, keys; // paths, in pairs
    uint8_t protocols = 3;                       // bits: TLS 1.2, 1.3
    std::vector<std::string> ciphers, groups, ticket_keys;
    std::string client_ca;
    std::shared_ptr<const TlsContext> context; // made of all that
};

struct ChannelSection {
    Pattern pattern;
    ChannelSettings settings;
};

struct Config {
    std::string file;
    ServerSettings server;
    LogSettings log;
    LimitSettings limits;
    std::vector<ListenerSettings> listeners;
    std::vector<TlsSection> tls;
    std::vector<BrokerSettings> brokers;
    std::vector<std::shared_ptr<const Authority>> authorities; // by name
    std::vector<HookSettings> hooks;
    std::map<std::string, Endpoint> endpoints; // of those that ask the application, by name
    ChannelSettings defaults;                  // of [defaults channel]: of who has no channel yet
    std::vector<ChannelSection> channels;      // most specific first

    // The settings that govern that channel name, or null where no section matches.
    const ChannelSettings* settings_for(std::string_view channel) const;
    // Those of the most specific section that matches whatever the wildcard does, or null.
    const ChannelSettings* settings_for_wildcard(const Pattern& wildcard) const;
};

// One 'FILE:LINE: text' each, all there are (at most 50).
using ConfigErrors = std::vector<std::string>;

struct LoadedConfig {
    std::shared_ptr<const Config> config; // null when there are errors
    ConfigErrors errors;
    std::string effective; // -T: every key with its value and origin, secrets masked
};

class Surroundings;

// Reads `file` and what it includes. `overrides` are the -g 'section.key=value' texts.
LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides);

// The same with files and environment from `world`.
LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides,
                         const Surroundings& world);

// -M: the section that governs that channel, where it stands, and its settings; lines of text.
std::string explain_channel(const Config& config, std::string_view channel);

// The keys that differ and that a reload cannot apply, each as "[server] workers". Listeners and
// brokers that only one of the two has are not among them, nor are addresses: those the reload
// opens and closes.
std::vector<std::string> unreloadable_changes(const Config& before, const Config& after);

} // namespace fanhorn
