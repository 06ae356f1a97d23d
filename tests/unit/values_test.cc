// SPDX-License-Identifier: Apache-2.0
#include "http/http2.h"
#include "modules/modules.h"
#include "server/config.h"
#include "server/options.h"
#include "server/values.h"
#include "server/words.h"

#include "test.h"

using namespace fanhorn;

static const Row& row_of(std::string_view type, std::string_view key) {
    const SectionType* section = find_section_type(type);
    assert_row(type, section != nullptr);
    size_t index = find_row(*section, key);
    assert_row(key, index < section->rows.size());
    return section->rows[index];
}

// The value behind "type.key", back as text; or what is wrong with it.
static std::string outcome(std::string_view type, std::string_view key, std::string_view item) {
    const Row& row = row_of(type, key);
    Value value;
    if (auto added = add_item(row, item, value); !added)
        return added.error();
    if (auto finished = finish_value(row, value); !finished)
        return finished.error();
    return format_value(row, value);
}

struct Case {
    const char *type, *key;
    std::string item;
    std::string outcome;
};

static void check_cases(const std::vector<Case>& cases) {
    for (const Case& one : cases) {
        std::string was = outcome(one.type, one.key, one.item);
        if (was != one.outcome)
            std::printf("%s.%s = '%s'\n", one.type, one.key, one.item.c_str());
        assert_text(was, one.outcome);
    }
}

static void sizes(void**) {
    const std::string form = "is not a size, such as 64k or 1m";
    check_cases({
        {"channel", "message_size", "64k", "64k"},
        {"channel", "message_size", "64m", "64m"},
        {"channel", "message_size", "100b", "100b"},
        {"channel", "message_size", "1024b", "1k"},
        {"channel", "message_size", "1536k", "1536k"},
        {"channel", "history_bytes", "0", "0"},
        {"channel", "history_bytes", "0k", "0"},
        {"channel", "history_bytes", "16g", "16g"},
        {"channel", "message_size", "64", "has no unit; write 64b, 64k, 64m or 64g"},
        {"channel", "message_size", "0", "is out of bounds: 1b to 64m"},
        {"channel", "message_size", "65m", "is out of bounds: 1b to 64m"},
        {"channel", "message_size", "18446744073709551615k", "is out of bounds: 1b to 64m"},
        {"channel", "message_size", "99999999999999999999k", "is out of bounds: 1b to 64m"},
        {"channel", "message_size", "64K", form},
        {"channel", "message_size", "64kb", form},
        {"channel", "message_size", "64 k", form},
        {"channel", "message_size", "1.5m", form},
        {"channel", "message_size", "-1k", form},
        {"channel", "message_size", "+1k", form},
        {"channel", "message_size", "k", form},
        {"channel", "message_size", "0x10k", form},
        {"channel", "message_size", "10s", form},
    });
}

static void rates(void**) {
    const std::string form = "is not a rate, such as 5/s, 300/m or 1000/h";
    const std::string bounds = "is out of bounds: 0, or 1 to 1000000 in a period";
    check_cases({
        {"channel", "publish_rate", "5/s", "5/s"},
        {"channel", "publish_rate", "300/m", "300/m"},
        {"channel", "publish_rate", "1000000/h", "1000000/h"},
        {"channel", "publish_rate", "60/s", "60/s"},
        {"channel", "publish_rate", "0", "0"},
        {"channel", "publish_rate", "", "0"},
        {"channel", "publish_rate", "0/s", bounds},
        {"channel", "publish_rate", "1000001/s", bounds},
        {"channel", "publish_rate", "99999999999999999999/s", bounds},
        {"channel", "publish_rate", "5", form},
        {"channel", "publish_rate", "5/", form},
        {"channel", "publish_rate", "/s", form},
        {"channel", "publish_rate", "-5/s", form},
        {"channel", "publish_rate", "5/ms", form},
        {"channel", "publish_rate", "5 /s", form},
        {"channel", "publish_rate", "5/s/s", form},
    });
}

static void shares(void**) {
    const std::string form = "is not a size or a share, such as 512m or 80%";
    const std::string bounds = "is out of bounds: 1% to 100%, or 16m to 1048576g";
    check_cases({
        {"limits", "memory", "80%", "80%"},
        {"limits", "memory", "1%", "1%"},
        {"limits", "memory", "100%", "100%"},
        {"limits", "memory", "16m", "16m"},
        {"limits", "memory", "2g", "2g"},
        {"limits", "memory", "1024m", "1g"},
        {"limits", "memory", "0%", bounds},
        {"limits", "memory", "101%", bounds},
        {"limits", "memory", "15m", bounds},
        {"limits", "memory", "0", bounds},
        {"limits", "memory", "80", "has no unit; write 80b, 80k, 80m or 80g"},
        {"limits", "memory", "80 %", form},
        {"limits", "memory", "%", form},
        {"limits", "memory", "-1%", form},
        {"limits", "memory", "auto", form},
    });
}

static void durations(void**) {
    const std::string form = "is not a duration, such as 500ms, 10s or 5m";
    check_cases({
        {"channel", "heartbeat", "1s", "1s"},
        {"channel", "heartbeat", "1500ms", "1500ms"},
        {"channel", "heartbeat", "60s", "1m"},
        {"channel", "heartbeat", "1h", "1h"},
        {"channel", "history_ttl", "2d", "2d"},
        {"channel", "history_ttl", "36h", "36h"},
        {"server", "drain", "0", "0"},
        {"server", "drain", "0s", "0"},
        {"channel", "heartbeat", "25", "has no unit; write 25ms, 25s, 25m, 25h or 25d"},
        {"channel", "heartbeat", "0", "is out of bounds: 1s to 1h"},
        {"channel", "heartbeat", "999ms", "is out of bounds: 1s to 1h"},
        {"channel", "heartbeat", "61m", "is out of bounds: 1s to 1h"},
        {"channel", "heartbeat", "9223372036854775807d", "is out of bounds: 1s to 1h"},
        {"channel", "history_ttl", "366d", "is out of bounds: 100ms to 365d"},
        {"channel", "heartbeat", "25k", form},
        {"channel", "heartbeat", "25sec", form},
        {"channel", "heartbeat", "1m30s", form},
        {"channel", "heartbeat", "s", form},
        {"channel", "heartbeat", "off", form},
    });
}

static void counts(void**) {
    const std::string form = "is not a count, such as 100, 200k or 1m";
    check_cases({
        {"server", "workers", "auto", "auto"},
        {"server", "workers", "1", "1"},
        {"server", "workers", "1k", "1k"},
        {"server", "workers", "1024", "1024"},
        {"server", "max_connections", "200k", "200k"},
        {"server", "max_connections", "1000000", "1m"},
        {"channel", "history", "0", "0"},
        {"server", "workers", "0", "is out of bounds: auto or 1 to 1024"},
        {"server", "workers", "1025", "is out of bounds: auto or 1 to 1024"},
        {"server", "workers", "many", "is not 'auto' or a count, such as 100, 200k or 1m"},
        {"server", "max_connections", "auto", form},
        {"server", "max_connections", "1g", form},
        {"server", "max_connections", "1e6", form},
        {"server", "max_connections", "101m", "is out of bounds: 1 to 100m"},
        {"listener", "backlog", "65536", "is out of bounds: 1 to 65535"},
    });
}

static void words(void**) {
    check_cases({
        {"channel", "compress", "on", "on"},
        {"channel", "compress", "off", "off"},
        {"channel", "compress", "yes", "is not 'on' or 'off'"},
        {"channel", "compress", "On", "is not 'on' or 'off'"},
        {"channel", "slow_consumer", "latest", "latest"},
        {"channel", "slow_consumer", "gpa",
         "is not one of gap, latest, disconnect; did you mean 'gap'?"},
        {"channel", "slow_consumer", "drop", "is not one of gap, latest, disconnect"},
        {"channel", "slow_consumer", "disconect",
         "is not one of gap, latest, disconnect; did you mean 'disconnect'?"},
        {"channel", "subscribe", "users", "users"},
        {"channel", "client_publish", "off", "off"},
        {"auth", "type", "jwt", "jwt"},
        {"auth", "type", "jtw", "is not one of jwt, bearer, callback; did you mean 'jwt'?"},
        {"auth", "type", "callback", "callback"},
        {"auth", "algorithms", "none",
         "is not one of HS256, HS384, HS512, RS256, PS256, ES256, ES384, EdDSA"},
        {"auth", "keys", "keys.pem", "is not an absolute path"},
        {"auth", "cookie", "a b", "is not the name of a cookie"},
        {"channel", "transports", "sse", "sse"},
        {"channel", "transports", "websockets",
         "is not one of websocket, sse, longpoll, poll; did you mean 'websocket'?"},
        {"listener", "serve", "metrics", "metrics"},
        {"listener", "serve", "proxy", "is not in this version"},
        {"listener", "serve", "publsh",
         "is not one of subscribe, publish, control, metrics, client; did you mean 'publish'?"},
        {"broker", "type", "local", "local"},
        {"broker", "type", "redis",
         find_broker_module("redis") ? "redis" : "was left out of this build"},
        {"broker", "type", "nats",
         find_broker_module("nats") ? "nats" : "was left out of this build"},
        {"broker", "type", "memory", "is not one of local, redis, nats"},
        {"listener", "http2", "cleartext",
         http::Http2Session::is_built() ? "cleartext" : "was left out of this build"},
        {"log", "level", "warn", "is not one of debug, info, notice, warning, error"},
        {"log", "format", "jsn", "is not one of text, json; did you mean 'json'?"},
    });
}

static void texts(void**) {
    check_cases({
        {"server", "pid_file", "", ""},
        {"server", "pid_file", "/run/x.pid", "/run/x.pid"},
        {"server", "pid_file", "x.pid", "is not an absolute path"},
        {"server", "pid_file", "/" + std::string(150, 'x'), "is longer than 150 bytes"},
        {"server", "pid_file", "/a\nb", "has control bytes, or is not UTF-8"},
        {"server", "pid_file", "/\xff", "has control bytes, or is not UTF-8"},
        {"log", "target", "stderr", "stderr"},
        {"log", "target", "syslog", "syslog"},
        {"log", "target", "/var/log/x", "/var/log/x"},
        {"log", "target", "stdout", "is not stderr, syslog or an absolute path"},
        {"log", "target", "", "needs a value"},
        {"listener", "hosts", "Push.Example.com", "push.example.com"},
        {"listener", "hosts", "[::1]", "[::1]"},
        {"listener", "hosts", "a:80", "is not a host, as in push.example.com; no port is written"},
        {"listener", "proxy_protocol", "v2", "is not 'on' or 'off'"},
        {"listener", "trusted_proxies", "2001:DB8::/32", "2001:db8::/32"},
        {"listener", "trusted_proxies", "unix", "unix"},
        {"listener", "trusted_proxies", "10.1.0.0/8",
         "has bits behind its prefix; write 10.0.0.0/8"},
        {"listener", "allow", "192.0.2.1/32", "192.0.2.1"},
        {"listener", "allow", "all",
         "is not an address or a network, such as 192.0.2.1, 10.0.0.0/8, 2001:db8::/32 or unix"},
        {"listener", "hosts", "a/b", "is not a host, as in push.example.com; no port is written"},
    });
}

static void origins(void**) {
    const std::string form = "is not an origin, as in https://app.example.com, or *";
    check_cases({
        {"listener", "origins", "*", "*"},
        {"listener", "origins", "https://app.example.com", "https://app.example.com"},
        {"listener", "origins", "HTTPS://App.Example.com", "https://app.example.com"},
        {"listener", "origins", "http://localhost:3000", "http://localhost:3000"},
        {"listener", "origins", "http://[::1]:3000", "http://[::1]:3000"},
        {"listener", "origins", "http://[::1]", "http://[::1]"},
        {"listener", "origins", "capacitor://localhost", "capacitor://localhost"},
        {"listener", "origins", "app.example.com", form},
        {"listener", "origins", "https://", form},
        {"listener", "origins", "://a", form},
        {"listener", "origins", "https://*.example.com", form},
        {"listener", "origins", "https://a b", form},
        {"listener", "origins", "https://u@a", form},
        {"listener", "origins", "https://[::1", form},
        {"listener", "origins", "null", form},
        {"listener", "origins", "https://app.example.com/",
         "is not an origin: an origin has no path; write https://app.example.com"},
        {"listener", "origins", "https://a.com/b/c",
         "is not an origin: an origin has no path; write https://a.com"},
        {"listener", "origins", "https://a.com:443",
         "names the default port, which browsers leave out; write https://a.com"},
        {"listener", "origins", "http://a.com:80",
         "names the default port, which browsers leave out; write http://a.com"},
        {"listener", "origins", "https://a.com:", "needs a port, 0 to 65535"},
        {"listener", "origins", "https://a.com:65536", "needs a port, 0 to 65535"},
    });
}

static void addresses(void**) {
    const std::string form =
        "is not an address; write 127.0.0.1:8080, [::1]:8080, *:8080, unix:/path or fd:NAME";
    check_cases({
        {"listener", "address", "0.0.0.0:8080", "0.0.0.0:8080"},
        {"listener", "address", "[::]:8080", "[::]:8080"},
        {"listener", "address", "*:0", "*:0"},
        {"listener", "address", "unix:/run/f.sock", "unix:/run/f.sock"},
        {"listener", "address", "fd:public", "fd:public"},
        {"listener", "address", "8080", "has no address; write *:8080"},
        {"listener", "address", "127.0.0.1", "has no port, as in 127.0.0.1:8080"},
        {"listener", "address", "localhost:80", form},
        {"listener", "address", "127.1:80", form},
        {"listener", "address", "256.0.0.1:80", form},
        {"listener", "address", ":80", form},
        {"listener", "address", "::1:80", form},
        {"listener", "address", "[::1:80", form},
        {"listener", "address", "[1.2.3.4]:80", form},
        {"listener", "address", "[fe80::1%lo]:80", form},
        {"listener", "address", "[]:80", form},
        {"listener", "address", "1.2.3.4:", "needs a port, 0 to 65535"},
        {"listener", "address", "1.2.3.4:65536", "needs a port, 0 to 65535"},
        {"listener", "address", "1.2.3.4:-1", "needs a port, 0 to 65535"},
        {"listener", "address", "1.2.3.4:http", "needs a port, 0 to 65535"},
        {"listener", "address", "unix:run/f",
         "needs an absolute path, as in "
         "unix:/run/fanhorn/public.sock"},
        {"listener", "address", "unix:/" + std::string(107, 'x'),
         "is longer than a socket's path can be, 107 bytes"},
        {"listener", "address", "fd:", "needs a descriptor's name, as in fd:public"},
        {"listener", "address", "fd:a b", "needs a descriptor's name, as in fd:public"},
    });
}

static void address_parts(void**) {
    Address address = *parse_address("[0:0::0:1]:80");
    assert_text(address.host, "::1");
    assert_text(address.text, "[0:0::0:1]:80");
    assert_int_equal(address.port, 80);
    assert_text(address_key(address), address_key(*parse_address("[::1]:80")));
    assert_text(parse_address("*:80")->host, "0.0.0.0");
    assert_text(address_key(*parse_address("*:80")), address_key(*parse_address("0.0.0.0:80")));
    assert_text(address_key(*parse_address("127.0.0.1:0")), "");
    assert_text(parse_address("unix:/a")->host, "/a");
    assert_text(parse_address("fd:Name")->host, "Name");
    assert_true(parse_address("fd:x")->kind == Address::Kind::Descriptor);
}

static void lists(void**) {
    const Row& serve = row_of("listener", "serve");
    Value value;
    assert_text(finish_value(serve, value).error(), "needs a value");
    assert_true(add_item(serve, "client", value).ok());
    assert_true(add_item(serve, "subscribe", value).ok());
    assert_text(format_value(serve, value), "subscribe, client");
    assert_text(add_item(serve, "client", value).error(), "stands twice in the list");

    const Row& transports = row_of("channel", "transports");
    Value order;
    assert_true(add_item(transports, "poll", order).ok());
    assert_true(add_item(transports, "sse", order).ok());
    assert_text(format_value(transports, order), "poll, sse");
    assert_text(add_item(transports, "poll", order).error(), "stands twice in the list");

    const Row& address = row_of("listener", "address");
    Value many;
    for (int port = 1; port <= 65; ++port)
        assert_true(add_item(address, "127.0.0.1:" + std::to_string(port), many).ok());
    assert_text(finish_value(address, many).error(), "has 65 items, at most 64 are allowed");
}

static void suggestions(void**) {
    const std::vector<std::string_view> words = {"history", "history_ttl", "heartbeat", "on"};
    assert_text(did_you_mean("histroy", words), "; did you mean 'history'?");
    assert_text(did_you_mean("history_tt", words), "; did you mean 'history_ttl'?");
    assert_text(did_you_mean("hartbeet", words), "; did you mean 'heartbeat'?");
    assert_text(did_you_mean("xyzzy", words), "");
    assert_text(did_you_mean("xx", words), "");
    assert_text(did_you_mean("", words), "");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(sizes),   cmocka_unit_test(durations),   cmocka_unit_test(rates),
        cmocka_unit_test(counts),  cmocka_unit_test(words),       cmocka_unit_test(texts),
        cmocka_unit_test(origins), cmocka_unit_test(addresses),   cmocka_unit_test(address_parts),
        cmocka_unit_test(lists),   cmocka_unit_test(suggestions), cmocka_unit_test(shares),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
