// SPDX-License-Identifier: Apache-2.0
#include "server/config.h"

#include "base/text.h"
#include "modules/modules.h"

#include <cstdlib>
#include <fstream>
#include <unistd.h>

#include "load_text.h"

#include "test.h"

using namespace fanhorn;

static std::shared_ptr<const Config> good(const std::string& text,
                                          const std::vector<std::string>& overrides = {}) {
    LoadedConfig loaded = load(text, overrides);
    assert_text(lines(loaded.errors), "");
    assert_non_null(loaded.config.get());
    return loaded.config;
}

// What stands between the key's '=' and its origin in that section of -T.
static std::string effective(const LoadedConfig& loaded, const std::string& section,
                             const std::string& key) {
    size_t at = loaded.effective.find("[" + section + "]");
    assert_row(section, at != std::string::npos);
    at = loaded.effective.find("\n" + key + " ", at);
    assert_row(key, at != std::string::npos);
    std::string line =
        loaded.effective.substr(at + 1, loaded.effective.find('\n', at + 1) - at - 1);
    size_t origin = line.find(" ; ");
    std::string value(trim_blanks(line.substr(line.find('=') + 1, origin - line.find('=') - 1)));
    return value + " <- " + line.substr(origin + 3);
}

static void overrides(void**) {
    const std::string text = kListener + "address = [::1]:80\n[channel a.*]\n"
                                         "history = 5\n[limits]\nbody_size = 2m\n";
    auto config = good(text, {"listener l.address=unix:/a", "channel a.*.history=7",
                              "limits.header_size = 2k", "limits.body_size=3m ; note",
                              "channel n.x.message_size=${PORT}k", "log.level=debug",
                              "listener l.address=*:1"});
    assert_int_equal(config->listeners[0].addresses.size(), 2);
    assert_text(config->listeners[0].addresses[0].text, "unix:/a");
    assert_text(config->listeners[0].addresses[1].text, "*:1");
    assert_int_equal(config->settings_for("a.b")->history, 7);
    assert_int_equal(config->limits.header_size, 2048);
    assert_int_equal(config->limits.body_size, 3 << 20);
    assert_int_equal(config->settings_for("n.x")->message_size, 9 << 10);
    assert_text(config->settings_for("n.x")->origin, "-g");
    assert_true(config->log.level == LogLevel::Debug);
    // An override takes the place of a fault in the file.
    good(kListener + "[server]\nworkers = x\n", {"server.workers=2"});
}

static void inheritance(void**) {
    auto config = good(kListener + "[channel a]\nhistory = 7\n[channel **]\n"
                                   "[defaults channel]\nhistory = 5\n"
                                   "transports = poll, sse\nsubscribe = deny\n"
                                   "[channel b]\ntransports = websocket\n");
    const ChannelSettings& a = *config->settings_for("a");
    const ChannelSettings& b = *config->settings_for("b");
    assert_int_equal(a.history, 7);
    assert_int_equal(b.history, 5);
    assert_true(a.transports == (std::vector<std::string>{"poll", "sse"}));
    assert_true(b.transports == (std::vector<std::string>{"websocket"}));
    assert_true(b.subscribe.is_denied());
    assert_int_equal(b.heartbeat, 25'000);
    assert_text(config->settings_for("c")->pattern, "**");
    assert_text(a.origin, "f:4");
}

static void most_specific_first(void**) {
    auto config = good(kListener + "[channel chat:**]\n[channel chat:*]\n"
                                   "[channel chat:lobby]\n");
    assert_text(config->settings_for("chat:lobby")->pattern, "chat:lobby");
    assert_text(config->settings_for("chat:x")->pattern, "chat:*");
    assert_text(config->settings_for("chat:x:y")->pattern, "chat:**");
    assert_null(config->settings_for("news"));
}

static void whole_config(void**) {
    auto config = good("[server]\nworkers = 2\npid_file = /run/p\n[log]\nformat = json\n"
                       "[limits]\nws_fragments = 2k\n"
                       "[listener l]\naddress = [::1]:${PORT}, fd:x\nserve = client, subscribe\n"
                       "origins = https://a.example\n  https://b.example\nhosts = A.b\n"
                       "proxy_protocol = on\ntrusted_proxies = 10.0.0.0/8 unix\n  2001:DB8::1\n"
                       "allow = 0.0.0.0/0\nbacklog = 5\n[broker one]\npath = /log\nsync = "
                       "1s\n[channel a]\nbroker = one\ncompress = "
                       "off\nfilter = off\nwildcard = on\n"
                       "slow_consumer = latest\n[server]\ndrain = 1m\n");
    assert_text(config->file, "f");
    assert_int_equal(config->server.workers, 2);
    assert_int_equal(config->server.drain, 60'000);
    assert_text(config->server.pid_file, "/run/p");
    assert_true(config->log.format == LogFormat::Json);
    assert_int_equal(config->limits.ws_fragments, 2000);
    const ListenerSettings& listener = config->listeners[0];
    assert_text(listener.name, "l");
    assert_text(listener.origin, "f:8");
    assert_text(listener.addresses[0].host, "::1");
    assert_int_equal(listener.addresses[0].port, 9);
    assert_int_equal(listener.serve, kServeClient | kServeSubscribe);
    assert_text(lines(listener.origins), "https://a.example\nhttps://b.example\n");
    assert_text(lines(listener.hosts), "a.b\n");
    assert_true(listener.proxy_protocol);
    assert_int_equal(listener.trusted_proxies.size(), 3);
    assert_text(listener.trusted_proxies[0].text(), "10.0.0.0/8");
    assert_text(listener.trusted_proxies[1].text(), "unix");
    assert_text(listener.trusted_proxies[2].text(), "2001:db8::1");
    assert_int_equal(listener.allow.size(), 1);
    assert_text(listener.allow[0].text(), "0.0.0.0/0");
    assert_int_equal(listener.backlog, 5);
    assert_text(config->brokers[0].name, "one");
    assert_text(config->brokers[0].type, "local");
    assert_text(config->brokers[0].origin, "f:19");
    const ChannelSettings& a = *config->settings_for("a");
    assert_text(a.broker, "one");
    assert_false(a.compress);
    assert_false(a.filter);
    assert_true(a.wildcard);
    assert_true(a.slow_consumer == SlowConsumer::Latest);
}

static void effective_origins(void**) {
    auto loaded = load(kListener + "[log]\ntarget = ${cred:file}\n[defaults channel]\n"
                                   "heartbeat = 60s\n[channel a]\nhistory = 1000\n",
                       {"server.pid_file=/a$$b"});
    assert_text(lines(loaded.errors), "");
    assert_text(effective(loaded, "server", "workers"), "auto <- default");
    assert_text(effective(loaded, "server", "pid_file"), "/a$$b <- -g");
    assert_text(effective(loaded, "log", "target"), "${cred:file} <- f:5");
    assert_text(loaded.config->log.target, "/secret/path");
    assert_text(effective(loaded, "listener l", "address"), "127.0.0.1:80 <- f:2");
    assert_text(effective(loaded, "listener l", "origins"), " <- default");
    assert_text(effective(loaded, "channel a", "history"), "1k <- f:9");
    assert_text(effective(loaded, "channel a", "heartbeat"), "1m <- f:7");
}

// Without the origins, which differ.
static std::string values_only(const std::string& effective) {
    std::string values;
    for (std::string_view line : split(effective, '\n'))
        values += std::string(line.substr(0, line.find(" ; "))) + "\n";
    return values;
}

static void effective_is_a_config(void**) {
    std::string many_origins = "origins = https://0.example\n";
    for (int i = 1; i < 40; ++i)
        many_origins += "    https://" + std::string(100, 'x') + std::to_string(i) + ".example\n";
    for (const std::string& text :
         {kListener, kListener + many_origins,
          kListener + "[channel {a}.b c:**]\nhistory = 0\n[channel [x]]\n[channel z;y#]\n",
          kListener + "[log]\ntarget = /a$$b;c#d\n[server]\npid_file = ${cred:file}\n",
          kListener + "[broker b]\n[defaults channel]\nbroker = b\n"}) {
        LoadedConfig first = load(text);
        assert_text(lines(first.errors), "");
        LoadedConfig second = load(first.effective);
        assert_text(lines(second.errors), "");
        assert_text(values_only(second.effective), values_only(first.effective));
    }
}

static void redis_brokers(void**) {
    if (!find_broker_module("redis"))
        skip();
    const auto config =
        good(kListener + "[broker one]\ntype = redis\nmode = sentinel\nmaster = m\n"
                         "sentinels = :pw@a:1, b\n"
                         "[broker two]\ntype = redis\nmode = cluster\nurl = rediss://a,b:2\n"
                         "prefix = x\n");
    const BrokerSettings &one = config->brokers[0], &two = config->brokers[1];
    assert_true(one.mode == RedisMode::Sentinel && two.mode == RedisMode::Cluster);
    assert_text(lines(one.sentinels), ":pw@a:1\nb\n");
    assert_text(one.master, "m");
    assert_true(one.tls == nullptr && two.tls != nullptr);
    assert_text(two.prefix, "x");
}

static void explanation(void**) {
    auto config = good(kListener + "[channel chat:*]\nhistory = 1000\n");
    assert_text(explain_channel(*config, "chat:x"),
                "'chat:x' is governed by [channel chat:*] at f:4\n"
                "transports          = websocket, sse, longpoll, poll\n"
                "subscribe           = public\n"
                "client_publish      = off\n"
                "publish_rate        = 0\n"
                "broker              = \n"
                "history             = 1k\n"
                "history_ttl         = 10m\n"
                "history_bytes       = 1m\n"
                "message_size        = 64k\n"
                "heartbeat           = 25s\n"
                "slow_consumer       = gap\n"
                "slow_consumer_limit = 256k\n"
                "presence            = off\n"
                "presence_grace      = 10s\n"
                "presence_users      = 10k\n"
                "subscribers         = 0\n"
                "joins               = off\n"
                "conflate            = \n"
                "wildcard            = off\n"
                "filter              = on\n"
                "delta               = off\n"
                "compress            = on\n");
    assert_text(explain_channel(*config, "news"), "no [channel] section matches 'news'\n");
    assert_text(explain_channel(*config, "a,b"),
                "this is not a channel name: 1 to 255 bytes of UTF-8 without control characters, "
                "',' and '*'\n");
}

static void changes(void**) {
    auto before = good(kListener + "[broker b]\n");
    auto same = good(kListener + "[server]\nworkers = auto\n[limits]\nbody_size = 2m\n"
                                 "[listener m]\naddress = *:1\nserve = client\n"
                                 "backlog = 1\n[channel a]\nhistory = 1\n");
    assert_text(lines(unreloadable_changes(*before, *same)), "");
    auto after = good(kListener + "backlog = 1\n[server]\nworkers = 2\n"
                                  "max_connections = 5\npid_file = /x\ndrain = 1s\n");
    assert_text(lines(unreloadable_changes(*before, *after)),
                "[server] workers\n[server] max_connections\n[server] pid_file\n"
                "[listener l] backlog\n");
}

static void real_files(void**) {
    char folder[] = "/tmp/fanhorn-config-XXXXXX";
    assert_non_null(mkdtemp(folder));
    const std::string base = std::string(folder) + "/";
    std::ofstream(base + "main") << "include = [ab].conf\ninclude = none/*.conf\n" << kListener;
    std::ofstream(base + "b.conf") << "[channel b]\nhistory = ${file:" << base << "history}\n";
    std::ofstream(base + "a.conf") << "[channel a]\n";
    std::ofstream(base + "history") << "12\n";
    LoadedConfig loaded = load_config(base + "main", {});
    LoadedConfig absent = load_config(base + "absent", {});
    LoadedConfig unreadable = load_config(folder, {});
    for (const char* file : {"main", "a.conf", "b.conf", "history"})
        unlink((base + file).c_str());
    rmdir(folder);
    assert_text(lines(loaded.errors), "");
    assert_int_equal(loaded.config->settings_for("b")->history, 12);
    assert_text(loaded.config->settings_for("a")->origin, base + "a.conf:1");
    assert_text(lines(absent.errors), base + "absent: No such file or directory\n");
    assert_text(lines(unreadable.errors), std::string(folder) + ": Is a directory\n");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(overrides),
        cmocka_unit_test(inheritance),
        cmocka_unit_test(most_specific_first),
        cmocka_unit_test(whole_config),
        cmocka_unit_test(effective_origins),
        cmocka_unit_test(effective_is_a_config),
        cmocka_unit_test(redis_brokers),
        cmocka_unit_test(explanation),
        cmocka_unit_test(changes),
        cmocka_unit_test(real_files),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
