// SPDX-License-Identifier: Apache-2.0
#include "base/net_address.h"

#include "base/text.h"

#include "test.h"

using namespace fanhorn;
using Kind = NetAddress::Kind;

static NetAddress at(std::string_view text) {
    if (text == "unix")
        return NetAddress::unix_socket();
    const auto v4 = parse_ipv4(text);
    return v4 ? *v4 : parse_ipv6(text).value_or(NetAddress{});
}

static void addresses(void**) {
    for (const char* text : {"0.0.0.0", "192.0.2.1", "255.255.255.255"}) {
        assert_row(text, parse_ipv4(text) && !parse_ipv6(text));
        assert_text(to_text(*parse_ipv4(text)), text);
    }
    for (const char* text : {"::", "::1", "2001:db8::1", "fe80::1:2:3:4"}) {
        assert_row(text, parse_ipv6(text) && !parse_ipv4(text));
        assert_text(to_text(*parse_ipv6(text)), text);
    }
    for (std::string_view text :
         {std::string_view(""), std::string_view("1.2.3"), std::string_view("1.2.3.4.5"),
          std::string_view("1.2.3.256"), std::string_view("01.2.3.4"), std::string_view("1.2.3.4 "),
          std::string_view(" 1.2.3.4"), std::string_view("1.2.3.4:80"),
          std::string_view("0x1.2.3.4"), std::string_view("1.2.3.4\0", 8),
          std::string_view("1.2.3.4\0x", 9), std::string_view("[::1]"), std::string_view("::1%lo"),
          std::string_view("1::2::3"), std::string_view("12345::"), std::string_view(":::"),
          std::string_view("localhost"), std::string_view("1:2:3:4:5:6:7:8:9"),
          std::string_view("::1\0", 4)})
        assert_row(text, !parse_ipv4(text) && !parse_ipv6(text));
    assert_false(parse_ipv6(std::string(10'000, ':')).has_value());
}

// RFC 4291 section 2.5.5.2.
static void mapped_addresses_are_ipv4(void**) {
    const auto mapped = parse_ipv6("::ffff:192.0.2.1");
    assert_true(mapped && *mapped == *parse_ipv4("192.0.2.1"));
    assert_true(parse_ipv6("::FFFF:c000:201") == mapped);
    assert_true(parse_ipv6("::192.0.2.1")->kind == Kind::V6);
}

static void texts(void**) {
    NetAddress address = at("192.0.2.1");
    address.port = 80;
    assert_text(to_text(address), "192.0.2.1:80");
    address = at("2001:db8::1");
    assert_text(to_text(address), "2001:db8::1");
    address.port = 65535;
    assert_text(to_text(address), "[2001:db8::1]:65535");
    assert_text(to_text(NetAddress::unix_socket()), "unix:");
    assert_text(to_text({}), "-");
}

static void keys_tell_networks_apart(void**) {
    NetAddress with_port = at("192.0.2.1");
    with_port.port = 1;
    assert_true(network_key(with_port) == network_key(at("192.0.2.1")));
    assert_true(network_key(at("192.0.2.1")) != network_key(at("192.0.2.2")));
    assert_true(network_key(at("2001:db8::1")) == network_key(at("2001:db8::2:3:4:5")));
    assert_true(network_key(at("2001:db8::1")) != network_key(at("2001:db8:0:1::1")));
    // Four bytes of the one never look like the other.
    assert_true(network_key(at("32.1.13.184")) != network_key(at("2001:db8::")));
    assert_text(network_key(NetAddress::unix_socket()), "unix");
    assert_text(network_key({}), "-");
}

static void networks(void**) {
    static const struct {
        const char *network, *in, *out;
    } kRows[] = {
        {"192.0.2.1", "192.0.2.1", "192.0.2.0 192.0.2.3 ::c000:201 unix"},
        {"10.0.0.0/8", "10.0.0.0 10.255.255.255 ::ffff:10.1.2.3", "9.255.255.255 11.0.0.0 unix"},
        {"192.0.2.128/25", "192.0.2.128 192.0.2.255", "192.0.2.127 192.0.3.128"},
        {"192.0.2.0/31", "192.0.2.0 192.0.2.1", "192.0.2.2"},
        {"0.0.0.0/0", "0.0.0.0 255.255.255.255", "::1 unix"},
        {"::1", "::1", "::2 0.0.0.1"},
        {"2001:db8::/32", "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
         "2001:db7:ffff:: 2001:db9::"},
        {"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"2001:db8::8/127", "2001:db8::8 2001:db8::9", "2001:db8::a 2001:db8::7"},
        {"::/0", "::1 ffff::", "192.0.2.1 unix"},
        {"unix", "unix", "127.0.0.1 ::"},
    };
    for (const auto& row : kRows) {
        const auto network = Network::parse(row.network);
        assert_row(row.network, network.ok());
        assert_text(network->text(), row.network);
        for (const auto each : split(row.in, ' '))
            assert_row(each, network->has(at(each)));
        for (const auto each : split(row.out, ' '))
            assert_row(each, !network->has(at(each)));
        assert_row(row.network, !network->has({}));
    }
    NetAddress with_port = at("10.1.2.3");
    with_port.port = 4711;
    assert_true(Network::parse("10.0.0.0/8")->has(with_port));
    assert_true(Network::parse("10.1.2.3")->has(with_port));
    assert_false(is_in({}, with_port));
    assert_true(is_in({*Network::parse("unix"), *Network::parse("10.1.0.0/16")}, with_port));
}

static void what_is_no_network(void**) {
    const std::string form = "is not an address or a network, such as 192.0.2.1, 10.0.0.0/8, "
                             "2001:db8::/32 or unix";
    const struct {
        std::string text, error;
    } kRows[] = {
        {"", form},
        {"localhost", form},
        {"10.0.0.1:80", form},
        {"[::1]", form},
        {"10.0.0/8", form},
        {"10.0.0.0-10.0.0.9", form},
        {"/8", form},
        {"unix:", "is not a network; write unix, which is every unix socket"},
        {"unix:/run/a", "is not a network; write unix, which is every unix socket"},
        {"10.0.0.0/", "needs a prefix of 0 to 32 bits behind the '/'"},
        {"10.0.0.0/33", "needs a prefix of 0 to 32 bits behind the '/'"},
        {"10.0.0.0/-1", "needs a prefix of 0 to 32 bits behind the '/'"},
        {"10.0.0.0/255.0.0.0", "needs a prefix of 0 to 32 bits behind the '/'"},
        {"10.0.0.0/99999999999999999999", "needs a prefix of 0 to 32 bits behind the '/'"},
        {"::/129", "needs a prefix of 0 to 128 bits behind the '/'"},
        {"10.0.0.1/8", "has bits behind its prefix; write 10.0.0.0/8"},
        {"10.0.0.1/0", "has bits behind its prefix; write 0.0.0.0/0"},
        {"2001:db8::1/32", "has bits behind its prefix; write 2001:db8::/32"},
        {"::ffff:10.0.0.1", "is IPv4 inside IPv6; write 10.0.0.1"},
    };
    for (const auto& row : kRows) {
        const auto network = Network::parse(row.text);
        assert_row(row.text, !network.ok());
        assert_text(network.error(), row.error);
    }
    assert_text(Network::parse("2001:DB8:0:0::/32")->text(), "2001:db8::/32");
    assert_text(Network::parse("192.0.2.1/32")->text(), "192.0.2.1");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(addresses), cmocka_unit_test(mapped_addresses_are_ipv4),
        cmocka_unit_test(texts),     cmocka_unit_test(keys_tell_networks_apart),
        cmocka_unit_test(networks),  cmocka_unit_test(what_is_no_network),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
