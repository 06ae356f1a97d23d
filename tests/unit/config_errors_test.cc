// SPDX-License-Identifier: Apache-2.0
// What is refused, and the exact words.
#include "modules/modules.h"

#include "load_text.h"

#include "test.h"

using namespace fanhorn;

// Behind kListener, so that the first line of `text` is line 4.
struct Bad {
    std::string text;
    std::string errors;
};

static void check_bad(const std::vector<Bad>& rows) {
    for (const Bad& row : rows) {
        LoadedConfig loaded = load(kListener + row.text);
        assert_text(lines(loaded.errors), row.errors);
        assert_null(loaded.config.get());
        assert_text(loaded.effective, "");
    }
}

static void unknown_sections(void**) {
    check_bad({
        {"[sever]\n", "f:4: unknown section [sever]; did you mean 'server'?\n"},
        {"[chanel a]\nhistory = x\n", "f:4: unknown section [chanel a]; did you mean 'channel'?\n"},
        {"[stuff and nonsense]\n", "f:4: unknown section [stuff and nonsense]\n"},
        {"[Server]\n", "f:4: unknown section [Server]; did you mean 'server'?\n"},
        {"[tls main]\n", "f:4: [tls main] needs 'certificate'\nf:4: [tls main] needs 'key'\n"},
        {"[tsl main]\n", "f:4: unknown section [tsl main]; did you mean 'tls'?\n"},
        {"[auth users]\n", "f:4: [auth users] needs 'type'\n"},
        {"[auht users]\n", "f:4: unknown section [auht users]; did you mean 'auth'?\n"},
        {"[auth]\n", "f:4: [auth] needs a name: [auth NAME]\nf:4: [auth] needs 'type'\n"},
        {"[server x]\n", "f:4: unknown section [server x]; did you mean 'server'?\n"},
        {"[defaults]\n", "f:4: unknown section [defaults]; did you mean 'defaults channel'?\n"},
        {"[defaults listener]\n",
         "f:4: unknown section [defaults listener]; did you mean 'defaults channel'?\n"},
        {"[listener]\naddress = *:1\nserve = client\n",
         "f:4: [listener] needs a name: [listener NAME]\n"},
        {"[channel]\n", "f:4: [channel] needs a name: [channel PATTERN]\n"
                        "f:4: [channel]: a pattern is 1 to 255 bytes of UTF-8 without control "
                        "characters and ','\n"},
        {"[broker a b]\n",
         "f:4: [broker a b]: a name has letters, digits, '_', '-' and '.', at most 64\n"},
        {"[broker a]\n[broker a]\n", "f:5: [broker a] was given before, at f:4\n"},
        {"[listener l]\naddress = *:1\nserve = client\n",
         "f:4: [listener l] was given before, at f:1\n"},
    });
}

static void unknown_keys(void**) {
    check_bad({
        {"[server]\nworker = 1\n", "f:5: unknown key 'worker' in [server]; did you mean "
                                   "'workers'?\n"},
        {"[server]\nfoo = 1\n  2\n  3\n", "f:5: unknown key 'foo' in [server]\n"},
        {"[server]\nhistory = 1\n",
         "f:5: unknown key 'history' in [server]; it is a [channel] key\n"},
        {"[channel a]\naddress = *:80\n",
         "f:5: unknown key 'address' in [channel]; it is a [listener] key\n"},
        {"[channel a]\nbody_size = 1m\n",
         "f:5: unknown key 'body_size' in [channel]; it is a [limits] key\n"},
        {"[broker a]\nmode = x\n", "f:5: mode: 'x' is not one of single, sentinel, cluster\n"},
        {"[auth a]\nurl = x\n",
         "f:4: [auth a] needs 'type'\n"
         "f:5: url: 'x' is not http://HOST[:PORT]/PATH, https://HOST[:PORT]/PATH or "
         "http://unix:/SOCKET:/PATH\n"},
        {"[broker a]\nsync = 2s\n",
         "f:5: sync: '2s' is not one of always, 1s; did you mean '1s'?\n"},
        {"[broker a]\nurl = redis://h\n", "f:5: url: is of type redis or nats, and this is local\n"},
        {"[broker a]\npath = log\n", "f:5: path: 'log' is not an absolute path\n"},
        {"[channel a]\nHistory = 1\n",
         "f:5: unknown key 'History' in [channel]; did you mean 'history'?\n"},
        {"[log]\ninclude = x\n", "f:5: 'include' must stand before the first section\n"},
    });
}

static void check(const std::string& text, const char* errors) {
    check_bad({{text.c_str(), errors}});
}

static void nats_brokers(void**) {
    if (!find_broker_module("nats"))
        skip();
    const std::string nats = "[broker a]\ntype = nats\n";
    check(nats, "f:4: [broker a]: type nats needs 'url', where the NATS server is\n");
    check(nats + "url = redis://h\n", "f:6: url: of type nats begins with nats:// or tls://\n");
    check(nats + "url = nats://h\nprefix = a.b\n",
          "f:7: prefix: of type nats has letters, digits, - and _\n");
    check(nats + "url = nats://h\nmode = cluster\n",
          "f:7: mode: is of type redis, and this is nats\n");
    check(nats + "url = nats://h\nmaster = m\n",
          "f:7: master: is of type redis, and this is nats\n");
    check(nats + "url = nats://h\ntls_ca = /etc/ca\n",
          "f:7: tls_ca: '/etc/ca' is for a rediss or tls 'url'\n");
    check(nats + "url = nats://a,,b\n",
          "f:6: url: '********' does not hold what is allowed here; fanhorn.conf(5) says what is\n");
}

static void redis_brokers(void**) {
    if (!find_broker_module("redis"))
        skip();
    const std::string redis = "[broker a]\ntype = redis\nurl = redis://h\n";
    check("[broker a]\ntype = redis\n",
          "f:4: [broker a]: type redis needs 'url', where the Redis server is\n");
    check(redis + "path = /log\n", "f:7: path: is of type local, and this is redis\n");
    check(
        "[broker a]\ntype = redis\nurl = http://h\n",
        "f:6: url: '********' does not hold what is allowed here; fanhorn.conf(5) says what is\n");
    check("[broker a]\nmode = cluster\n", "f:5: mode: is of type redis, and this is local\n");
    check(redis + "mode = sentinel\n",
          "f:4: [broker a]: mode sentinel needs 'sentinels', where they are\n"
          "f:4: [broker a]: mode sentinel needs 'master', by which name they know the server\n");
    check(redis + "sentinels = h\nmaster = m\n",
          "f:7: sentinels: is for mode = sentinel, and this is single\n"
          "f:8: master: is for mode = sentinel, and this is single\n");
    check(
        redis + "mode = sentinel\nmaster = m\nsentinels = h, http://h\n",
        "f:9: sentinels: '********' does not hold what is allowed here; fanhorn.conf(5) says what "
        "is\n");
    check(redis + "mode = cluster\nprefix = {a}\n",
          "f:8: prefix: may have no { and } in a cluster\n");
    check("[broker a]\ntype = redis\nmode = cluster\nurl = redis://h/1\n",
          "f:7: url: a cluster has no databases\n");
    check("[broker a]\ntype = redis\nmode = cluster\nurl = unix:/s\n",
          "f:7: url: no unix socket leads to a mode = cluster\n");
    check("[broker a]\ntype = redis\nurl = redis://h,i\n",
          "f:6: url: several hosts are for mode = cluster, and this is single\n");
    check("[broker a]\ntype = redis\nurl = nats://h\n",
          "f:6: url: of type redis begins with redis://, rediss:// or unix:\n");
    check(redis + "tls_ca = /etc/ca\n", "f:7: tls_ca: '/etc/ca' is for a rediss or tls 'url'\n");
    check("[broker a]\ntype = redis\nurl = rediss://h\ntls_ca = /none\n",
          "f:7: tls_ca: '/none' cannot be read: No such file or directory\n");
    check("[broker a]\ntype = redis\nurl = rediss://h\ntls_key = /none\n",
          "f:7: tls_key: '/none' needs 'tls_certificate'\n");
}

static void rules_of_claims(void**) {
    const std::string auth = "[auth users]\ntype = bearer\ntokens = 0123456789abcdef\n";
    check_bad({
        {(auth + "[channel a:{x}]\nsubscribe = users, claim:a contains {y}\n").c_str(),
         "f:8: subscribe: {y} is not in the pattern 'a:{x}'\n"},
        {(auth + "[defaults channel]\nsubscribe = users, claim:a contains {y}\n").c_str(),
         "f:8: subscribe: {y} is not in the pattern 'channel'\n"},
        {(auth + "[channel a]\nsubscribe = public, claim:a equals b\n").c_str(),
         "f:8: subscribe: a claim's rule stands behind the name of an [auth] section\n"},
        {(auth + "[channel a]\nclient_publish = user, claim:a equals b\n").c_str(),
         "f:8: client_publish: there is no [auth user]; did you mean 'users'?\n"},
        {(auth + "[channel a]\nsubscribe = users, admins\n").c_str(),
         "f:8: subscribe: 'users, admins' is not NAME, claim:NAME equals VALUE, or ... contains "
         "VALUE\n"},
    });
}

static void values(void**) {
    check_bad({
        {"[server]\nworkers = 5000\n",
         "f:5: workers: '5000' is out of bounds: auto or 1 to 1024\n"},
        {"[server]\nworkers =\n", "f:5: 'workers' needs a value\n"},
        {"[server]\nworkers = 1\nworkers = 1\n", "f:6: 'workers' was given before, at f:5\n"},
        {"[server]\nworkers = x\nworkers = 1\n",
         "f:5: workers: 'x' is not 'auto' or a count, such as 100, 200k or 1m\n"
         "f:6: 'workers' was given before, at f:5\n"},
        {"[server]\nworkers = 1\n[log]\n[server]\nworkers = 2\n",
         "f:8: 'workers' was given before, at f:5\n"},
        {"[server]\nworkers = 1\n  2\n", "f:6: 'workers' is not a list\n"},
        {"[server]\nworkers = 1, 2\n",
         "f:5: workers: '1, 2' is not 'auto' or a count, such as 100, 200k or 1m\n"},
        {"[channel a]\nheartbeat = 25\n",
         "f:5: heartbeat: '25' has no unit; write 25ms, 25s, 25m, 25h or 25d\n"},
        {"[channel a]\ntransports = sse, pol\n  websocket, sse\n",
         "f:5: transports: 'pol' is not one of websocket, sse, longpoll, poll; did you mean "
         "'poll'?\nf:6: transports: 'sse' stands twice in the list\n"},
        {"[channel a]\ntransports =\n", "f:5: 'transports' needs a value\n"},
        {"[channel a]\ntransports = ,\n", "f:5: 'transports' needs a value\n"},
        {"[channel a]\nhistory = ${A}\n",
         "f:5: history: 'x' is not a count, such as 100, 200k or 1m\n"},
        {"[channel a]\nconflate = k=v\n",
         "f:5: conflate: 'k=v' is not the name of a tag: it has no ',' and no '='\n"},
        {"[channel a]\nhistory = ${NO}\n",
         "f:5: history: ${NO}: is not defined; a default is written ${NO:-default}\n"},
        {"[channel a]\nhistory = ${A:-}${A\n",
         "f:5: history: a '$' begins ${NAME}; a '$' itself is written '$$'\n"},
        {"[channel a]\nhistory = 5 items\n",
         "f:5: history: '5 items' is not a count, such as 100, 200k or 1m\n"},
        // One item, whatever is in it; a secret is not shown.
        {"[channel a]\ntransports = ${LIST}\n",
         "f:5: transports: 'poll, sse' is not one of websocket, sse, longpoll, poll\n"},
        {"[log]\nlevel = ${file:/level}\n", "f:5: level: '${file:/level}' does not hold what is "
                                            "allowed here; fanhorn.conf(5) says what is\n"},
        {"[log]\ntarget = ${MULTI}\n",
         "f:5: target: '${MULTI}' has control bytes, or is not UTF-8\n"},
    });
}

static void sections_together(void**) {
    check_bad({
        {"[listener m]\naddress = *:81\n", "f:4: [listener m] needs 'serve'\n"},
        {"[listener m]\nserve = client\n", "f:4: [listener m] needs 'address'\n"},
        {"[listener m]\naddress = 81\nserve = clientt\n",
         "f:5: address: '81' has no address; write *:81\n"
         "f:6: serve: 'clientt' is not one of subscribe, publish, control, metrics, client; did "
         "you mean 'client'?\n"},
        {"[listener m]\naddress = 127.0.0.1:80\nserve = client\n",
         "f:5: address: '127.0.0.1:80' is listened on already, at f:2\n"},
        {"[listener m]\naddress = unix:/a\n  *:1\n  0.0.0.0:1\nserve = client\n",
         "f:7: address: '0.0.0.0:1' is listened on already, at f:6\n"},
        {"[listener m]\naddress = fd:a, [::1]:1, [0::1]:1\nserve = client\n",
         "f:5: address: '[0::1]:1' is listened on already, at f:5\n"},
        {"[listener m]\naddress = *:1\nserve = client\nproxy_protocol = on\n",
         "f:7: proxy_protocol: needs 'trusted_proxies', the addresses of the proxies whose header "
         "is believed\n"},
        {"[listener m]\naddress = *:1\nserve = client\nproxy_protocol = on\n"
         "trusted_proxies =\n",
         "f:7: proxy_protocol: needs 'trusted_proxies', the addresses of the proxies whose header "
         "is believed\n"},
        {"[listener m]\naddress = *:1\nserve = client\nproxy_protocol = on\n"
         "trusted_proxies = 10.0.0.1/8\n",
         "f:8: trusted_proxies: '10.0.0.1/8' has bits behind its prefix; write 10.0.0.0/8\n"},
        {"[listener m]\naddress = *:1\nserve = client\nallow = 10.0.0.1 10.0.0.1/32\n",
         "f:7: allow: '10.0.0.1/32' stands twice in the list\n"},
        {"[channel a*]\n", "f:4: [channel a*]: 'a*' is not a segment: '*', '**' and '{name}' "
                           "stand alone between '.', ':' and '/'\n"},
        {"[channel **.a]\n", "f:4: [channel **.a]: '**' can only be the last segment\n"},
        {"[channel chat:*]\n[channel b]\n[channel chat:{id}]\n",
         "f:6: [channel chat:{id}] matches the same channels as [channel chat:*] at f:4\n"},
        {"[channel a]\n[channel a]\n", "f:5: [channel a] was given before, at f:4\n"},
        {"[broker big]\n[channel a]\nbroker = bag\n",
         "f:6: broker: there is no [broker bag]; did you mean 'big'?\n"},
        {"[defaults channel]\nbroker = redis\n[channel a]\n",
         "f:5: broker: there is no [broker redis]\n"},
    });
}

static void whole_file_faults(void**) {
    assert_text(lines(load("").errors), "f: no [listener] section: nothing to do\n");
    assert_text(lines(load("[server]\nworkers = 0\n").errors),
                "f: no [listener] section: nothing to do\n"
                "f:2: workers: '0' is out of bounds: auto or 1 to 1024\n");
    assert_text(lines(load_config("none", {}, FakeSurroundings()).errors),
                "none: No such file or directory\n");
    std::string many = kListener;
    for (int i = 0; i < 60; ++i)
        many += "[x" + std::to_string(i) + "yz]\n";
    auto errors = load(many).errors;
    assert_int_equal(errors.size(), 50);
    assert_text(errors[48], "f:52: unknown section [x48yz]");
    assert_text(errors[49], "and 11 more errors");
}

static void bad_overrides(void**) {
    struct Row {
        std::string override_text, errors;
    };
    for (const Row& row : {
             Row{"", "-g: '' is not 'section.key=value'\n"},
             {"limits", "-g: 'limits' is not 'section.key=value'\n"},
             {"limits=1", "-g: 'limits=1' is not 'section.key=value'\n"},
             {".x=1", "-g: '.x=1' is not 'section.key=value'\n"},
             {"log.target=a\nb", "-g: 'log.target=a\\x0ab' is not 'section.key=value'\n"},
             {"limits.body_sze=1m",
              "-g: unknown key 'body_sze' in [limits]; did you mean 'body_size'?\n"},
             {"limts.body_size=1m", "-g: unknown section [limts]; did you mean 'limits'?\n"},
             {"limits.body_size=1", "-g: body_size: '1' has no unit; write 1b, 1k, 1m or 1g\n"},
             {"listener l.serve=", "-g: 'serve' needs a value\n"},
             {"listener x.serve=client", "-g: [listener x] needs 'address'\n"},
         })
        assert_text(lines(load(kListener, {row.override_text}).errors), row.errors);
    assert_text(lines(load(kListener, {"server.workers=1", "server.workers=2"}).errors),
                "-g: 'workers' was given before, at -g\n");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(unknown_sections),
        cmocka_unit_test(unknown_keys),
        cmocka_unit_test(nats_brokers),
        cmocka_unit_test(redis_brokers),
        cmocka_unit_test(rules_of_claims),
        cmocka_unit_test(values),
        cmocka_unit_test(sections_together),
        cmocka_unit_test(whole_file_faults),
        cmocka_unit_test(bad_overrides),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
