// SPDX-License-Identifier: Apache-2.0
#include "http/parser.h"
#include "tests/unit/http_session.h"

#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn;
using namespace fanhorn::http;
using namespace std::string_literals;

namespace {

const ParserLimits kLimits;

// A connection that holds no request holds next to nothing.
static_assert(sizeof(RequestParser) <= 32);

HttpSession read(std::string_view bytes, const ParserLimits& limits = kLimits) {
    HttpSession session(limits);
    session.feed(bytes);
    return session;
}

// However the bytes are cut, the outcome is the same.
void check_cuts(const char* name, const std::string& bytes, const ParserLimits& limits = kLimits) {
    const std::string whole = read(bytes, limits).outcome();
    for (const size_t size : {1, 2, 3, 7, 64}) {
        const auto cut = HttpSession(limits).feed_in_pieces(bytes, size).outcome();
        if (cut != whole)
            std::printf("whole: %s\npieces of %zu: %s\n", whole.c_str(), size, cut.c_str());
        assert_row(name, cut == whole);
    }
    if (bytes.size() > 400)
        return;
    for (size_t at = 1; at < bytes.size(); ++at) {
        HttpSession session(limits);
        session.feed(std::string_view(bytes).substr(0, at));
        session.feed(std::string_view(bytes).substr(at));
        assert_row(name, session.outcome() == whole);
    }
}

struct GoodRow {
    const char* name;
    std::string bytes, transcript;
};

const GoodRow kGood[] = {
    {"plain", "GET /sub/a HTTP/1.1\r\nHost: a.example:8080\r\nAccept: */*\r\n\r\n",
     "GET /sub/a 1.1 a.example:8080 [Host: a.example:8080; Accept: */*; ] keep \"\"\n"},
    {"one empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET / 1.1 a [Host: a; ] keep \"\"\n"},
    {"pipelined, an empty line between",
     "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n"
     "HEAD /b HTTP/1.1\r\nHost: a\r\n\r\nPUT /c HTTP/1.1\r\nHost: a\r\n\r\n",
     "POST /a 1.1 a [Host: a; Content-Length: 3; ] keep \"abc\"\n"
     "HEAD /b 1.1 a [Host: a; ] keep \"\"\nPUT /c 1.1 a [Host: a; ] keep \"\"\n"},
    {"query and escapes", "GET /pub/a%2Fb?x=1&y=%C3%A9 HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET /pub/a%2Fb?x=1&y=%C3%A9 1.1 a [Host: a; ] keep \"\"\n"},
    {"second question mark", "GET /a?b?c HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET /a?b?c 1.1 a [Host: a; ] keep \"\"\n"},
    {"what browsers leave unescaped", "GET /a|\"{}^`\\?b=[c] HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET /a|\"{}^`\\?b=[c] 1.1 a [Host: a; ] keep \"\"\n"},
    {"dot segments are somebody else's", "GET /../etc HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET /../etc 1.1 a [Host: a; ] keep \"\"\n"},
    {"absolute-form has the last word", "GET http://b:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET /x?y 1.1 b:81 [Host: a; ] keep \"\"\n"},
    {"absolute-form without a path", "GET HTTPS://b HTTP/1.1\r\nHost: b\r\n\r\n",
     "GET / 1.1 b [Host: b; ] keep \"\"\n"},
    {"absolute-form, only a query", "GET http://b?q=1 HTTP/1.1\r\nHost: b\r\n\r\n",
     "GET /?q=1 1.1 b [Host: b; ] keep \"\"\n"},
    {"asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
     "OPTIONS * 1.1 a [Host: a; ] keep \"\"\n"},
    {"unknown method", "FROB / HTTP/1.1\r\nHost: a\r\n\r\n", "- / 1.1 a [Host: a; ] keep \"\"\n"},
    {"lower-case method is unknown", "get / HTTP/1.1\r\nHost: a\r\n\r\n",
     "- / 1.1 a [Host: a; ] keep \"\"\n"},
    {"longest method", std::string(32, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n",
     "- / 1.1 a [Host: a; ] keep \"\"\n"},
    {"higher minor version", "GET / HTTP/1.9\r\nHost: a\r\n\r\n",
     "GET / 1.1 a [Host: a; ] keep \"\"\n"},
    {"IPv6", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
     "GET / 1.1 [::1]:8080 [Host: [::1]:8080; ] keep \"\"\n"},
    {"no blank and many blanks", "GET / HTTP/1.1\r\nhOsT:a\r\nX: \t b  c \t\r\nY:\r\n\r\n",
     "GET / 1.1 a [hOsT: a; X: b  c; Y: ; ] keep \"\"\n"},
    {"obs-text", "GET / HTTP/1.1\r\nHost: a\r\nX: caf\xE9\r\n\r\n",
     "GET / 1.1 a [Host: a; X: caf\\xe9; ] keep \"\"\n"},
    {"HTTP/1.0", "GET / HTTP/1.0\r\n\r\nGET /never HTTP/1.0\r\n\r\n", "GET / 1.0  [] close \"\"\n"},
    {"HTTP/1.0 that stays", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
     "GET / 1.0  [Connection: Keep-Alive; ] keep \"\"\n"},
    {"close among others", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE ,y\r\n\r\nrubbish",
     "GET / 1.1 a [Host: a; Connection: x, CLOSE ,y; ] close \"\"\n"},
    {"close in the second field",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
     "GET / 1.1 a [Host: a; Connection: keep-alive; Connection: close; ] close \"\"\n"},
    {"a token that begins with close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n",
     "GET / 1.1 a [Host: a; Connection: closed; ] keep \"\"\n"},
    {"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
     "GET / 1.1 a [Host: a; Content-Length: 5; ] keep \"GET /\"\n"},
    {"empty body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
     "POST / 1.1 a [Host: a; Content-Length: 0; ] keep \"\"\n"},
    {"leading zeros", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0002\r\n\r\nab",
     "POST / 1.1 a [Host: a; Content-Length: 0002; ] keep \"ab\"\n"},
    {"chunked",
     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
     "POST / 1.1 a [Host: a; Transfer-Encoding: Chunked; ] keep \"ab\"\n"},
    {"expect", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
     "POST / 1.1 a [Host: a; Expect: 100-Continue; Content-Length: 1; ] keep continue \"x\"\n"},
    {"expect on HTTP/1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
     "POST / 1.0  [Expect: 100-continue; ] close \"\"\n"},
    {"upgrade that is ignored",
     "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
     "GET / 1.1 a [Host: a; Connection: Upgrade, HTTP2-Settings; Upgrade: h2c; ] keep \"\"\n"},
    {"every token character in a name",
     "GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n",
     "GET / 1.1 a [Host: a; !#$%&'*+-.^_`|~09azAZ: x; ] keep \"\"\n"},
};

struct BadRow {
    const char* name;
    int status;
    std::string bytes;
};

std::string get(const std::string& fields) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n\r\n";
}
std::string target(const std::string& text, const std::string& method = "GET") {
    return method + " " + text + " HTTP/1.1\r\nHost: a\r\n\r\n";
}
std::string version(const std::string& text) {
    return "GET / " + text + "\r\nHost: a\r\n\r\n";
}
std::string host(const std::string& text) {
    return "GET / HTTP/1.1\r\nHost: " + text + "\r\n\r\n";
}

const BadRow kBad[] = {
    // What is no HTTP/1.1 at all.
    {"binary", 400, "\x00\x01\x02\r\n\r\n"s},
    {"TLS hello, no line end ever", 400, "\x16\x03\x01\x00\xA5\x01"s},
    {"HTTP/2 preface", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    {"PROXY v1", 400, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"PROXY v2", 400, "\r\n\r\n\0\r\nQUIT\n"s},
    {"two empty lines before", 400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"LF before", 400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"blank before", 400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"CR without LF before", 400, "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    // Line ends.
    {"LF everywhere", 400, "GET / HTTP/1.1\nHost: a\n\n"},
    {"LF behind the request line", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n"},
    {"LF behind a field", 400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {"LF inside a value", 400, get("X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5")},
    {"LF behind another field", 400, get("X: abc\nY: d")},
    {"LF at the very end", 400, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
    {"CR behind the request line", 400, "GET / HTTP/1.1\rHost: a\r\n\r\n"},
    {"CR CR LF", 400, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
    {"CR and something at the end", 400, "GET / HTTP/1.1\r\nHost: a\r\n\rX\n"},
    // Request line.
    {"only a method", 400, "GET\r\nHost: a\r\n\r\n"},
    {"HTTP/0.9", 400, "GET /\r\n\r\n"},
    {"no target", 400, "GET HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"empty target", 400, "GET  HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"extra word", 400, "GET / evil HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"two blanks", 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"two blanks before the version", 400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"tab for a blank", 400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"blank at the end", 400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
    {"control in the method", 400, "G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"bracket in the method", 400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"method too long", 400, target("/", std::string(33, 'A'))},
    {"method of 8 KiB", 400, target("/", std::string(8200, 'A'))},
    // Version.
    {"lower-case version", 400, version("http/1.1")},
    {"two digits", 400, version("HTTP/1.10")},
    {"two digits of major", 400, version("HTTP/01.1")},
    {"no minor", 400, version("HTTP/1")},
    {"comma", 400, version("HTTP/1,1")},
    {"letter", 400, version("HTTP/1.x")},
    {"another protocol", 400, version("ICE/1.0")},
    {"and another", 400, version("RTSP/1.0")},
    {"prefixed", 400, version("XHTTP/1.1")},
    {"HTTP/2.0", 505, version("HTTP/2.0")},
    {"HTTP/0.9 in words", 505, version("HTTP/0.9")},
    {"HTTP/5.6", 505, version("HTTP/5.6")},
    // Target.
    {"NUL in the query", 400, target("/?a\0b"s)},
    {"tab in the target", 400, target("/a\tb")},
    {"DEL in the target", 400, target("/a\x7f")},
    {"UTF-8 in the target", 400, target("/\xC3\xA9")},
    {"fragment", 400, target("/a#b")},
    {"bad escape in the path", 400, target("/%zz")},
    {"bad escape in the query", 400, target("/?c=%4")},
    {"lone percent", 400, target("/%")},
    {"escape cut by the query", 400, target("/%4?1=1")},
    {"no slash", 400, target("pub/a")},
    {"asterisk for GET", 400, target("*")},
    {"asterisk for an unknown method", 400, target("*", "M-SEARCH")},
    {"more than an asterisk", 400, target("*a", "OPTIONS")},
    {"CONNECT", 400, target("example.com:443", "CONNECT")},
    {"CONNECT with a path", 400, target("/", "CONNECT")},
    {"authority-form", 400, target("example.com:443")},
    {"other scheme", 400, target("ftp://a/")},
    {"no authority", 400, target("http:///a")},
    {"userinfo", 400, target("http://user:pass@a/")},
    {"bad port in the authority", 400, target("http://a:x/")},
    {"101 parameters", 400,
     target("/?" +
            [] {
                std::string query = "a";
                for (int i = 0; i < 100; ++i)
                    query += "&a";
                return query;
            }())},
    // Host.
    {"no Host", 400, "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"},
    {"no Host with absolute-form", 400, "GET http://a/ HTTP/1.1\r\n\r\n"},
    {"two Hosts", 400, get("Host: b")},
    {"two equal Hosts", 400, get("HOST: a")},
    {"two Hosts on HTTP/1.0", 400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"},
    {"empty Host", 400, host("")},
    {"Host with a blank", 400, host("a b")},
    {"Host with a script", 400, host("\"><script>alert(1)</script>")},
    {"Host with a path", 400, host("a/b")},
    {"Host with userinfo", 400, host("u@a")},
    {"Host list", 400, host("a, b")},
    {"Host of a colon", 400, host(":80")},
    {"port of letters", 400, host("a:http")},
    {"port too large", 400, host("a:65536")},
    {"port with a sign", 400, host("a:+80")},
    {"two ports", 400, host("a:1:2")},
    {"IPv6 without brackets", 400, host("::1")},
    {"bad IPv6", 400, host("[::1::]")},
    {"no IPv6 in the brackets", 400, host("[example]")},
    {"bracket not closed", 400, host("[::1")},
    {"text behind the bracket", 400, host("[::1]x")},
    {"IPv6 zone", 400, host("[fe80::1%25eth0]")},
    {"bad escape in Host", 400, host("a%2")},
    {"obs-text in Host", 400, host("caf\xE9")},
    // Fields.
    {"folded", 400, get("X: a\r\n b")},
    {"folded with a tab", 400, get("X: a\r\n\tb")},
    {"blank before the first field", 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
    {"folded Content-Length", 400, get("Content-Length:\r\n 5")},
    {"blank before the colon", 400, get("X : b")},
    {"tab before the colon", 400, get("X\t: b")},
    {"no colon", 400, get("X")},
    {"no name", 400, get(": b")},
    {"line of blanks", 400, get("  ")},
    {"non-ASCII name", 400, get("X-\xC3\xA9: b")},
    {"NUL in a name", 400, get("X\0A: b"s)},
    {"CR in a name", 400, get("X\rA: b")},
    {"bracket in a name", 400, get("X(A): b")},
    {"at sign in a name", 400, get("Fo@: b")},
    {"NUL in a value", 400, get("X: a\0b"s)},
    {"CR in a value", 400, get("X: a\rb")},
    {"control in a value", 400, get("X: a\x07")},
    {"form feed as the value", 400, get("X: \x0c")},
    {"DEL in a value", 400, get("X: ;q=,gzip;\x7f")},
    // Content-Length.
    {"plus", 400, get("Content-Length: +5")},
    {"minus", 400, get("Content-Length: -1")},
    {"float", 400, get("Content-Length: 5.0")},
    {"exponent", 400, get("Content-Length: 5e0")},
    {"hexadecimal", 400, get("Content-Length: 0x5")},
    {"empty length", 400, get("Content-Length: ")},
    {"blank inside", 400, get("Content-Length: 5 5")},
    {"NUL behind", 400, get("Content-Length: 5\0"s)},
    {"semicolon behind", 400, get("Content-Length: 5;")},
    {"underscore", 400, get("Content-Length: 1_0")},
    {"overflow to 5", 400, get("Content-Length: 18446744073709551621")},
    {"100 digits", 400, get("Content-Length: " + std::string(100, '9'))},
    {"above 2^53", 400, get("Content-Length: 9007199254740993")},
    {"list of different", 400, get("Content-Length: 5, 6")},
    {"list of equal", 400, get("Content-Length: 5, 5")},
    {"two lengths", 400, get("Content-Length: 1\r\nContent-Length: 2")},
    {"two equal lengths", 400, get("Content-Length: 5\r\ncontent-length: 5")},
    {"blank before the colon of the length", 400, get("Content-Length : 5")},
    // Transfer-Encoding.
    {"length, then coding", 400, get("Content-Length: 6\r\nTransfer-Encoding: chunked")},
    {"coding, then length", 400, get("Transfer-Encoding: chunked\r\nContent-Length: 6")},
    {"length 0 and coding", 400, get("Content-Length: 0\r\nTransfer-Encoding: chunked")},
    {"coding on HTTP/1.0", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"unknown coding", 400, get("Transfer-Encoding: frob")},
    {"not final", 400, get("Transfer-Encoding: chunked, gzip")},
    {"gzip first", 400, get("Transfer-Encoding: gzip, chunked")},
    {"identity", 400, get("Transfer-Encoding: identity")},
    {"chunked, identity", 400, get("Transfer-Encoding: chunked, identity")},
    {"identity, chunked", 400, get("Transfer-Encoding: identity, chunked")},
    {"chunked twice", 400, get("Transfer-Encoding: chunked, chunked")},
    {"two coding fields", 400, get("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")},
    {"the same twice", 400, get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")},
    {"xchunked", 400, get("Transfer-Encoding: xchunked")},
    {"chunkedchunked", 400, get("Transfer-Encoding: chunkedchunked")},
    {"vertical tab", 400,
     get("Transfer-Encoding: \x0b"
         "chunked")},
    {"quoted", 400, get("Transfer-Encoding: \"chunked\"")},
    {"parameter", 400, get("Transfer-Encoding: chunked;q=1")},
    {"comma behind", 400, get("Transfer-Encoding: chunked,")},
    {"blank before the colon of the coding", 400, get("Transfer-Encoding : chunked")},
    {"folded coding", 400, get("Transfer-Encoding:\r\n chunked")},
    {"empty coding", 400, get("Transfer-Encoding:")},
    // Expect.
    {"unknown expectation", 417, get("Expect: the-unexpected")},
    {"two expectations", 417, get("Expect: 100-continue, x")},
    {"empty expectation", 417, get("Expect:")},
};

} // namespace

static void test_good(void**) {
    for (const GoodRow& row : kGood) {
        const HttpSession session = read(row.bytes);
        if (session.transcript != row.transcript)
            std::printf("%s\n", session.outcome().c_str());
        assert_row(row.name, session.transcript == row.transcript && session.problem.status == 0);
        check_cuts(row.name, row.bytes);
    }
}

// Refused, and what follows is never run.
static void test_bad(void**) {
    for (const BadRow& row : kBad) {
        const HttpSession session = read(row.bytes + "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n");
        if (session.problem.status != row.status)
            std::printf("%s\n", session.outcome().c_str());
        assert_row(row.name, session.problem.status == row.status);
        assert_row(row.name, session.heads == 0);
        assert_row(row.name, !session.problem.detail.empty());
        check_cuts(row.name, row.bytes);
    }
}

// One wrong byte anywhere in a request never makes two requests of one, nor depends on the cut.
static void test_every_byte_wrong(void**) {
    const std::string good =
        "POST /a?b=%41 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 5\r\nX: y\r\n\r\nabcde";
    for (size_t at = 0; at < good.size(); ++at) {
        for (const char wrong : {'\0', '\n', '\r', ' ', '\t', ':', '%', '\x7f', '\xFF', '1'}) {
            std::string bytes = good;
            bytes[at] = wrong;
            const auto whole = read(bytes);
            assert_true(whole.messages <= 1);
            assert_text(HttpSession(kLimits).feed_in_pieces(bytes, 1).outcome(), whole.outcome());
        }
    }
}

// The byte at which a stream is refused when it comes one by one, and with what.
static std::string refused_at(const std::string& bytes, const ParserLimits& limits) {
    HttpSession session(limits);
    session.feed_in_pieces(bytes, 1);
    check_cuts("limits", bytes, limits);
    return std::to_string(session.problem.status) + " at " + std::to_string(session.fed);
}

static void test_limits(void**) {
    const ParserLimits limits{.head_size = 200, .uri_size = 20, .header_count = 3};
    const std::string behind = " HTTP/1.1\r\nHost: a\r\n\r\n";
    const std::string longest = "GET /" + std::string(19, 'u');
    assert_int_equal(read(longest + behind, limits).messages, 1);
    assert_text(refused_at(longest + "u" + behind, limits), "414 at 36"); // with the line
    // The line of the longest method and target is too long before it ends.
    assert_text(refused_at("GET /" + std::string(1000, 'u'), limits), "414 at 65");
    assert_text(refused_at(std::string(1000, 'M'), limits), "400 at 65");
    assert_text(refused_at("GET / " + std::string(1000, 'H'), limits), "400 at 65");

    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n"; // 25 bytes
    const std::string full = start + "X: " + std::string(200 - 25 - 3 - 4, 'x') + "\r\n\r\n";
    assert_int_equal(full.size(), 200);
    assert_int_equal(read(full, limits).messages, 1);
    assert_text(refused_at(start + "X: " + std::string(1000, 'x'), limits), "431 at 201");
    std::string over = full;
    over.insert(30, "x");
    assert_text(refused_at(over, limits), "431 at 201");
    assert_text(refused_at(start + std::string(1000, 'n'), limits), "431 at 201");

    assert_int_equal(read(start + "A: 1\r\nB: 2\r\n\r\n", limits).messages, 1);
    assert_text(refused_at(start + "A: 1\r\nB: 2\r\nC: 3\r\n\r\n", limits), "431 at 43");

    // Where the whole head is less than a line may be.
    const ParserLimits small{.head_size = 30, .uri_size = 100, .header_count = 3};
    assert_text(refused_at("GET /" + std::string(1000, 'u'), small), "431 at 31");
}

static void test_idle_holds_nothing(void**) {
    RequestParser parser(kLimits);
    assert_true(parser.is_idle());
    parser.feed("\r\n");
    assert_true(parser.is_idle()); // an empty line is no beginning
    parser.feed("G");
    assert_false(parser.is_idle());
    const std::string rest = "ET / HTTP/1.1\r\nHost: a\r\n\r\nbehind";
    const auto step = parser.feed(rest);
    assert_true(step.status == RequestParser::Status::Head);
    assert_int_equal(step.consumed, rest.size() - 6);
    const Head head = parser.head();
    assert_true(head.request.method == Method::Get);
    assert_true(head.framing == Framing::None);
    assert_true(parser.is_idle());
    // The next request may have its own empty line.
    assert_true(parser.feed("\r\n").status == RequestParser::Status::NeedMore);
    assert_true(parser.feed("\r\n").status == RequestParser::Status::Error);
}

static void test_framing(void**) {
    const auto head_of = [](const std::string& fields) {
        RequestParser parser(kLimits);
        parser.feed("POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
        return parser.head();
    };
    assert_true(head_of("").framing == Framing::None);
    assert_true(head_of("Content-Length: 0\r\n").framing == Framing::None);
    const Head large = head_of("Content-Length: 9007199254740992\r\n");
    assert_true(large.framing == Framing::Length && large.length == 1ull << 53);
    assert_true(head_of("Transfer-Encoding: chunked\r\n").framing == Framing::Chunked);
}

// Quadratic work on this would take minutes.
static void test_dribble(void**) {
    const ParserLimits limits{.head_size = 2 << 20, .uri_size = 1 << 20, .header_count = 3};
    const std::string bytes = "GET /" + std::string(1'000'000, 'u') +
                              " HTTP/1.1\r\nHost: a\r\nX: " + std::string(1'000'000, 'x') +
                              "\r\n\r\n";
    assert_int_equal(HttpSession(limits).feed_in_pieces(bytes, 1).messages, 1);
}

static void test_lookups(void**) {
    RequestParser parser(kLimits);
    parser.feed(
        "GET /?a=1&a=2&B=3 HTTP/1.1\r\nHost: a\r\nAccept: one\r\nACCEPT: two ,three,\r\n\r\n");
    const Request request = parser.head().request;
    assert_text(*request.header("accept"), "one");
    assert_null(request.header("accep"));
    assert_int_equal(request.header_count("Accept"), 2);
    assert_int_equal(request.header_count("x"), 0);
    assert_text(*request.parameter("a"), "1");
    assert_null(request.parameter("b")); // exact case
    assert_true(request.header_has_token("accept", "TWO"));
    assert_true(request.header_has_token("accept", "three"));
    assert_false(request.header_has_token("accept", "thre"));
    assert_false(request.header_has_token("accept", ""));
    assert_false(request.header_has_token("host", "one"));
}

static void test_methods(void**) {
    for (const char* name :
         {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"})
        assert_text(method_name(method_named(name)), name);
    for (const char* name : {"-", "", "Get", "GETS", "GE"})
        assert_row(name, method_named(name) == Method::Other);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_every_byte_wrong),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_idle_holds_nothing),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_dribble),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_methods),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
