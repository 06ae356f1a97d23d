// SPDX-License-Identifier: Apache-2.0
// Through whom a request came, and who its client is then.
#include "http/forwarded.h"
#include "server/client_address.h"

#include "base/text.h"

#include "test.h"

using namespace fanhorn;
using namespace fanhorn::http;

static Request request_with(const std::vector<Header>& headers) {
    Request request;
    request.headers = headers;
    return request;
}

// All that can be understood, the nearest one first.
static std::string hops_of(const Request& request) {
    ForwardedHops hops(request);
    std::string text;
    while (const auto hop = hops.next())
        text += (text.empty() ? "" : " ") + to_text(*hop);
    return text;
}

struct Row {
    const char *value, *hops;
};

static void check(const char* name, const std::vector<Row>& rows) {
    for (const Row& row : rows)
        assert_text(std::string(row.value) + " -> " + hops_of(request_with({{name, row.value}})),
                    std::string(row.value) + " -> " + row.hops);
}

static void x_forwarded_for(void**) {
    check("X-Forwarded-For",
          {
              {"192.0.2.1", "192.0.2.1"},
              {"192.0.2.1, 198.51.100.2,203.0.113.3", "203.0.113.3 198.51.100.2 192.0.2.1"},
              {"192.0.2.1\t ,\t198.51.100.2", "198.51.100.2 192.0.2.1"},
              {"192.0.2.1:4711", "192.0.2.1:4711"},
              {"2001:db8::1", "2001:db8::1"},
              {"[2001:db8::1]", "2001:db8::1"},
              {"[2001:db8::1]:4711", "[2001:db8::1]:4711"},
              {"::ffff:192.0.2.1", "192.0.2.1"},
              {"", ""},
              {",", ""},
              {", ,192.0.2.1,, ,", "192.0.2.1"},
              // What cannot be understood ends it.
              {"192.0.2.1, unknown, 198.51.100.2", "198.51.100.2"},
              {"192.0.2.1, 198.51.100.2 203.0.113.3", ""},
              {"192.0.2.1, 198.51.100.300, 203.0.113.3", "203.0.113.3"},
              {"192.0.2.1, \"198.51.100.2\"", ""},
              {"192.0.2.1, \"a, 198.51.100.2", "198.51.100.2"},
              {"192.0.2.1:", ""},
              {"192.0.2.1:65536", ""},
              {"192.0.2.1:000080", ""},
              {"192.0.2.1:-1", ""},
              {"192.0.2.1x", ""},
              {"[192.0.2.1]", ""},
              {"[2001:db8::1", ""},
              {"2001:db8::1]", ""},
              {"[2001:db8::1]x", ""},
              {"[2001:db8::1]:", ""},
              {"[]", ""},
              {"[", ""},
              {"fe80::1%eth0", ""},
              {"for=192.0.2.1", ""},
          });
}

static void forwarded(void**) {
    check("Forwarded",
          {
              {"for=192.0.2.1", "192.0.2.1"},
              {"For=192.0.2.1;Proto=http;by=203.0.113.43", "192.0.2.1"},
              {"proto=http;for=192.0.2.1", "192.0.2.1"},
              {"for=192.0.2.1 ; proto=http", "192.0.2.1"},
              {";for=192.0.2.1;;", "192.0.2.1"},
              {"for=192.0.2.1, for=198.51.100.2", "198.51.100.2 192.0.2.1"},
              {"for=192.0.2.1,,for=198.51.100.2,", "198.51.100.2 192.0.2.1"},
              {"for=\"192.0.2.1:4711\"", "192.0.2.1:4711"},
              {"for=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711"},
              {"for=\"[2001:db8::1]\"", "2001:db8::1"},
              {"for=\"\\192.0.2.\\1\"", "192.0.2.1"},
              {"for=\"192.0.2.1:_hidden\"", "192.0.2.1"},
              {"for=192.0.2.1;host=\"a,b\"", "192.0.2.1"},
              {"for=192.0.2.1;host=\"a;for=b\"", "192.0.2.1"},
              {"for=192.0.2.1;host=\"a\\\",for=203.0.113.9\"", "192.0.2.1"},
              {"for=192.0.2.1;host=\"a\\\\\", for=198.51.100.2", "198.51.100.2 192.0.2.1"},
              // What cannot be understood ends it.
              {"", ""},
              {"192.0.2.1", ""},
              {"for=unknown", ""},
              {"for=_hidden", ""},
              {"proto=http", ""},
              {"for=192.0.2.1, proto=http", ""},
              {"for=192.0.2.1, for=unknown, for=198.51.100.2", "198.51.100.2"},
              {"for=192.0.2.1;for=198.51.100.2", ""},
              {"for=192.0.2.1:4711", ""},
              {"for=[2001:db8::1]", ""},
              {"for=\"2001:db8::1\"", ""},
              {"for=\"192.0.2.1:_\"", ""},
              {"for=\"192.0.2.1:_a b\"", ""},
              {"for=\"192.0.2.1", ""},
              {"for=192.0.2.1\"", ""},
              {"for=\"192.0.2.1\"x", ""},
              {"for= 192.0.2.1", ""},
              {"for =192.0.2.1", ""},
              {"for", ""},
              {"for=", ""},
              {"for=\"\"", ""},
              {"=192.0.2.1", ""},
              {"for=192.0.2.1;host", ""},
              {"for=192.0.2.1;host=\"a", ""},
              {"for=192.0.2.1;host=\"a\\", ""},
              // What a stranger began does not reach into what his proxy wrote behind it.
              {"for=\"203.0.113.9, for=192.0.2.1", "192.0.2.1"},
              {"for=203.0.113.9;host=\"\\, for=\"[2001:db8::1]\"", "2001:db8::1"},
              {"\\\", for=192.0.2.1", "192.0.2.1"},
          });
}

static void several_fields_are_one_list(void**) {
    assert_text(hops_of(request_with({{"X-Forwarded-For", "192.0.2.1"},
                                      {"Host", "a"},
                                      {"x-forwarded-for", "198.51.100.2, 203.0.113.3"}})),
                "203.0.113.3 198.51.100.2 192.0.2.1");
    assert_text(hops_of(request_with({{"Forwarded", "for=192.0.2.1"},
                                      {"FORWARDED", ""},
                                      {"Forwarded", "for=198.51.100.2;host=\"a"},
                                      {"Forwarded", "for=203.0.113.3"}})),
                "203.0.113.3");
    assert_text(hops_of(request_with({{"Host", "a"}})), "");
}

static void forwarded_is_read_where_there_is_one(void**) {
    assert_text(hops_of(request_with(
                    {{"X-Forwarded-For", "192.0.2.1"}, {"Forwarded", "for=198.51.100.2"}})),
                "198.51.100.2");
    assert_text(hops_of(request_with({{"X-Forwarded-For", "192.0.2.1"}, {"Forwarded", "x"}})), "");
}

static void many_hops(void**) {
    std::string quotes, hops, expected;
    for (int i = 0; i < 20'000; ++i)
        quotes += "\\\"";
    assert_text(hops_of(request_with({{"Forwarded", quotes}})), "");
    for (int i = 0; i < 20'000; ++i) {
        hops += i ? ",192.0.2.1" : "192.0.2.1";
        expected += i ? " 192.0.2.1" : "192.0.2.1";
    }
    assert_text(hops_of(request_with({{"X-Forwarded-For", hops}})), expected);
}

// ---- whom to believe

static std::vector<Network> networks(std::string_view text) {
    std::vector<Network> all;
    for (const auto each : split(text, ' '))
        if (!each.empty())
            all.push_back(*Network::parse(each));
    return all;
}

static NetAddress place(std::string_view text) {
    return text == "unix" ? NetAddress::unix_socket() : *parse_ipv4(text);
}

static void clients(void**) {
    static const struct {
        const char *trusted, *peer, *hops, *client;
    } kRows[] = {
        {"", "10.0.0.1", "192.0.2.1", "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "192.0.2.1", "192.0.2.1"},
        {"10.0.0.0/8", "11.0.0.1", "192.0.2.1", "11.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "203.0.113.9, 192.0.2.1", "192.0.2.1"},
        {"10.0.0.0/8", "10.0.0.1", "203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"},
        {"10.0.0.0/8", "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
        {"10.0.0.1", "10.0.0.1", "192.0.2.1, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.0/8", "10.0.0.1", "192.0.2.1, nonsense", "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", "192.0.2.1, nonsense, 10.0.0.2", "10.0.0.2"},
        {"10.0.0.0/8", "10.0.0.1", "nonsense, 192.0.2.1", "192.0.2.1"},
        {"10.0.0.0/8", "unix", "192.0.2.1", "unix:"},
        {"unix", "unix", "192.0.2.1", "192.0.2.1"},
        {"10.0.0.0/8 unix", "unix", "192.0.2.1, 10.0.0.1", "192.0.2.1"},
    };
    for (const auto& row : kRows) {
        const Request request = request_with({{"X-Forwarded-For", row.hops}});
        assert_text(std::string(row.hops) + " -> " +
                        to_text(client_of(request, place(row.peer), networks(row.trusted))),
                    std::string(row.hops) + " -> " + row.client);
    }
}

static void peers(void**) {
    const auto refusal = [](ListenerSettings& listener, std::string_view peer) {
        const auto why = peer_refusal(listener, place(peer));
        return why ? std::string(peer_refusal_name(*why)) : "none";
    };
    ListenerSettings listener;
    assert_text(refusal(listener, "192.0.2.1"), "none");
    listener.trusted_proxies = networks("10.0.0.0/8");
    assert_text(refusal(listener, "192.0.2.1"), "none");
    listener.allow = networks("192.0.2.0/24");
    assert_text(refusal(listener, "192.0.2.1"), "none");
    assert_text(refusal(listener, "10.0.0.1"), "none");
    assert_text(refusal(listener, "198.51.100.2"), "not_allowed");
    assert_text(refusal(listener, "unix"), "not_allowed");
    listener.proxy_protocol = true;
    assert_text(refusal(listener, "192.0.2.1"), "untrusted");
    assert_text(refusal(listener, "unix"), "untrusted");
    assert_text(refusal(listener, "10.0.0.1"), "none");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(x_forwarded_for),
        cmocka_unit_test(forwarded),
        cmocka_unit_test(several_fields_are_one_list),
        cmocka_unit_test(forwarded_is_read_where_there_is_one),
        cmocka_unit_test(many_hops),
        cmocka_unit_test(clients),
        cmocka_unit_test(peers),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
