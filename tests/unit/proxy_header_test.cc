// SPDX-License-Identifier: Apache-2.0
#include "http/proxy_header.h"

#include "base/text.h"

#include <string>

#include "test.h"

using namespace fanhorn;
using namespace fanhorn::http;
using namespace std::string_literals;
using Status = ProxyHeader::Status;

static const std::string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;
static const std::string kRequest = "GET / HTTP/1.1\r\n\r\n";

// "more", "SIZE PLACE" or "fault: TEXT".
static std::string outcome(std::string_view bytes) {
    const ProxyHeader header = read_proxy_header(bytes);
    switch (header.status) {
    case Status::NeedMore:
        return "more";
    case Status::Whole:
        return std::to_string(header.size) + ' ' +
               (header.source ? to_text(*header.source) : "the peer");
    case Status::Malformed:
        return "fault: " + std::string(header.fault);
    }
    return "";
}

// Of each byte that is not there yet, more is waited for; what comes behind it changes nothing.
static void check_whole(const std::string& name, const std::string& bytes,
                        const std::string& place) {
    const std::string expected = std::to_string(bytes.size()) + ' ' + place;
    for (size_t size = 0; size < bytes.size(); ++size)
        assert_text(name + ": " + outcome(std::string_view(bytes).substr(0, size)),
                    name + ": more");
    assert_text(name + ": " + outcome(bytes), name + ": " + expected);
    assert_text(name + ": " + outcome(bytes + kRequest), name + ": " + expected);
    assert_text(name + ": " + outcome(bytes + bytes), name + ": " + expected);
}

// And stays so, whatever comes.
static void check_malformed(const std::string& name, const std::string& bytes,
                            const std::string& fault) {
    assert_text(name + ": " + outcome(bytes), name + ": fault: " + fault);
    assert_text(name + ": " + outcome(bytes + kRequest), name + ": fault: " + fault);
}

static std::string number(size_t value) {
    return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

static std::string binary(char command, char family, const std::string& block) {
    return kSignature + command + family + number(block.size()) + block;
}

static const std::string kInet = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb"s;
static const std::string kInet6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01" +
                                  std::string(15, '\0') + "\x01\x30\x39\x01\xbb"s;
static const std::string kUnix = "/run/a"s + std::string(102, '\0') + std::string(108, '\0');

static std::string extension(char type, const std::string& value) {
    return type + number(value.size()) + value;
}

static void lines(void**) {
    static const struct {
        const char *line, *place;
    } kRows[] = {
        {"TCP4 192.0.2.1 198.51.100.2 12345 443", "192.0.2.1:12345"},
        {"TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255:65535"},
        {"TCP4 0.0.0.0 0.0.0.0 0 0", "0.0.0.0"},
        {"TCP6 2001:db8::1 ::1 12345 443", "[2001:db8::1]:12345"},
        {"TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2", "[2001:db8::1]:1"},
        {"TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2", "192.0.2.1:1"},
        {"TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "65535 65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"UNKNOWN", "the peer"},
        {"UNKNOWN ", "the peer"},
        {"UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "65535 65535",
         "the peer"},
        {"UNKNOWN whatever it is", "the peer"},
    };
    for (const auto& row : kRows)
        check_whole(row.line, "PROXY "s + row.line + "\r\n", row.place);
}

static void lines_that_are_none(void**) {
    const std::string words = "neither TCP4, TCP6 nor UNKNOWN";
    const std::string ends = "not two addresses and two ports";
    const struct {
        std::string line, fault;
    } kRows[] = {
        {"", words},
        {"TCP4", words},
        {"TCP5 192.0.2.1 198.51.100.2 1 2", words},
        {"tcp4 192.0.2.1 198.51.100.2 1 2", words},
        {"UDP4 192.0.2.1 198.51.100.2 1 2", words},
        {" TCP4 192.0.2.1 198.51.100.2 1 2", words},
        {"unknown", words},
        {"UNKNOWNX", words},
        {"UNKNOWN\t", words},
        {"TCP4 ", ends},
        {"TCP4 192.0.2.1", ends},
        {"TCP4 192.0.2.1 198.51.100.2 1", ends},
        {"TCP4 192.0.2.1 198.51.100.2 1 ", ends},
        {"TCP4 192.0.2.1 198.51.100.2 1 2 ", ends},
        {"TCP4 192.0.2.1 198.51.100.2 1 2 3", ends},
        {"TCP4  192.0.2.1 198.51.100.2 1 2", ends},
        {"TCP4 192.0.2.1  198.51.100.2 1 2", ends},
        {"TCP4\t192.0.2.1 198.51.100.2 1 2", words},
        {"TCP4 192.0.2.1\t198.51.100.2 1 2", ends},
        {"TCP4 192.0.2.1 198.51.100.2 65536 2", ends},
        {"TCP4 192.0.2.1 198.51.100.2 1 65536", ends},
        {"TCP4 192.0.2.1 198.51.100.2 01 2", ends},
        {"TCP4 192.0.2.1 198.51.100.2 1 00", ends},
        {"TCP4 192.0.2.1 198.51.100.2 -1 2", ends},
        {"TCP4 192.0.2.1 198.51.100.2 +1 2", ends},
        {"TCP4 192.0.2.1 198.51.100.2 0x1 2", ends},
        {"TCP4 192.0.2.01 198.51.100.2 1 2", ends},
        {"TCP4 192.0.2.256 198.51.100.2 1 2", ends},
        {"TCP4 192.0.2.1 198.51.100 1 2", ends},
        {"TCP4 2001:db8::1 198.51.100.2 1 2", ends},
        {"TCP4 192.0.2.1 ::1 1 2", ends},
        {"TCP4 a.example b.example 1 2", ends},
        {"TCP4 192.0.2.1\0 198.51.100.2 1 2"s, ends},
        {"TCP6 192.0.2.1 198.51.100.2 1 2", ends},
        {"TCP6 [2001:db8::1] ::1 1 2", ends},
        {"TCP6 fe80::1%eth0 ::1 1 2", ends},
        {"TCP6 2001:db8::1::2 ::1 1 2", ends},
    };
    for (const auto& row : kRows)
        check_malformed(row.line, "PROXY " + row.line + "\r\n", row.fault);
}

static void line_ends(void**) {
    const std::string good = "PROXY TCP4 192.0.2.1 198.51.100.2 1 2";
    check_malformed("LF", good + "\n", "a line ends with CR LF");
    check_malformed("CR alone", good + "\rx", "a line ends with CR LF");
    check_malformed("CR CR LF", good + "\r\r\n", "a line ends with CR LF");
    check_malformed("LF in an unknown one", "PROXY UNKNOWN a\nb\r\n", "a line ends with CR LF");
    check_malformed("CR in an unknown one", "PROXY UNKNOWN a\rb\r\n", "a line ends with CR LF");
    assert_text(outcome(good + "\r"), "more");
    // 107 bytes and no more, with CR LF.
    const std::string longest = "PROXY UNKNOWN " + std::string(107 - 14 - 2, 'x');
    check_whole("107 bytes", longest + "\r\n", "the peer");
    check_malformed("108 bytes", longest + "x\r\n", "longer than 107 bytes");
    assert_text(outcome(longest), "more");
    check_malformed("no end", longest + "x", "longer than 107 bytes");
    check_malformed("no end, much", "PROXY UNKNOWN " + std::string(100'000, 'x'),
                    "longer than 107 bytes");
}

static void no_header(void**) {
    for (const std::string& bytes :
         {"GET / HTTP/1.1\r\n"s, "P0"s, "PROXX"s, "PROXY\r\n"s, "proxy TCP4 "s, "\n"s, "\r\r"s,
          "\r\nGET"s, kSignature.substr(0, 11) + "\r", "\x16\x03\x01"s, "\0"s, " PROXY "s})
        check_malformed(hex_encode(bytes), bytes, "no PROXY header");
    assert_text(outcome(""), "more");
}

static void binaries(void**) {
    check_whole("inet", binary('\x21', '\x11', kInet), "192.0.2.1:12345");
    check_whole("inet6", binary('\x21', '\x21', kInet6), "[2001:db8::1]:12345");
    check_whole("unix", binary('\x21', '\x31', kUnix), "unix:");
    check_whole("inet, datagrams", binary('\x21', '\x12', kInet), "192.0.2.1:12345");
    check_whole("inet6, datagrams", binary('\x21', '\x22', kInet6), "[2001:db8::1]:12345");
    check_whole("unix, datagrams", binary('\x21', '\x32', kUnix), "unix:");
    check_whole("unspecified", binary('\x21', '\0', ""), "the peer");
    check_whole("unspecified, with bytes", binary('\x21', '\0', "\1\2\3"), "the peer");
    check_whole("mapped",
                binary('\x21', '\x21',
                       std::string(10, '\0') + "\xff\xff\xc0\x00\x02\x01"s + std::string(16, '\0') +
                           "\x30\x39\x01\xbb"s),
                "192.0.2.1:12345");
}

// Section 2.2: nothing of it counts but its length.
static void local_ones(void**) {
    check_whole("bare", binary('\x20', '\0', ""), "the peer");
    check_whole("with addresses", binary('\x20', '\x11', kInet), "the peer");
    check_whole("too short for them", binary('\x20', '\x21', "x"), "the peer");
    check_whole("of no family", binary('\x20', '\xff', "xyz"), "the peer");
}

static void extensions(void**) {
    const std::string checksum = extension('\3', "\1\2\3\4"); // not that of these bytes
    check_whole("a checksum", binary('\x21', '\x11', kInet + checksum), "192.0.2.1:12345");
    check_whole("two, one empty",
                binary('\x21', '\x21', kInet6 + extension('\4', "") + extension('\2', "a.example")),
                "[2001:db8::1]:12345");
    check_whole("unix", binary('\x21', '\x31', kUnix + checksum), "unix:");
    check_whole("as long as can be",
                binary('\x21', '\x11',
                       kInet + extension('\4', std::string(kMaxProxyHeader - 16 - 12 - 3, 'x'))),
                "192.0.2.1:12345");
    const char* fault = "an extension is longer than the header";
    for (const std::string& rest : {"\4"s, "\4\0"s, "\4\0\1"s, checksum + "\4", "\4\xff\xffxx"s})
        check_malformed(hex_encode(rest), binary('\x21', '\x11', kInet + rest), fault);
}

static void lengths(void**) {
    const std::pair<char, const std::string*> families[] = {
        {'\x11', &kInet}, {'\x21', &kInet6}, {'\x31', &kUnix}};
    for (const auto& [family, block] : families)
        for (size_t size = 0; size < block->size(); ++size)
            check_malformed("size " + std::to_string(size),
                            binary('\x21', family, block->substr(0, size)),
                            "too short for its addresses");
    const std::string head = kSignature + "\x21\x11";
    assert_text(outcome(head + number(kMaxProxyHeader - 16)), "more");
    check_malformed("4097 bytes", head + number(kMaxProxyHeader - 15), "longer than 4096 bytes");
    check_malformed("65551 bytes", head + "\xff\xff", "longer than 4096 bytes");
    check_malformed("65551 bytes of a LOCAL one", kSignature + "\x20"s + '\0' + "\xff\xff",
                    "longer than 4096 bytes");
}

// Told at the byte that is wrong.
static void commands_and_families(void**) {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string name = "command " + std::to_string(byte);
        const std::string bytes = kSignature + static_cast<char>(byte);
        if (byte == 0x20 || byte == 0x21)
            assert_text(name + outcome(bytes), name + "more");
        else
            check_malformed(name, bytes,
                            byte >> 4 == 2 ? "neither LOCAL nor PROXY" : "not version 2");
    }
    for (int byte = 0; byte < 256; ++byte) {
        const std::string name = "family " + std::to_string(byte);
        const std::string bytes = kSignature + '\x21' + static_cast<char>(byte);
        const int family = byte >> 4, transport = byte & 15;
        if (byte == 0 || (family >= 1 && family <= 3 && transport >= 1 && transport <= 2))
            assert_text(name + outcome(bytes), name + "more");
        else
            check_malformed(name, bytes, "a family that is not specified");
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(line_ends),
        cmocka_unit_test(no_header),
        cmocka_unit_test(binaries),
        cmocka_unit_test(local_ones),
        cmocka_unit_test(extensions),
        cmocka_unit_test(lengths),
        cmocka_unit_test(commands_and_families),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
