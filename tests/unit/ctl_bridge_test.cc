// SPDX-License-Identifier: Apache-2.0
// What fanhornctl's bridge makes of an upstream: its URL, its redirects, its messages.
#include "ctl/backoff.h"
#include "ctl/route.h"
#include "http/url.h"

#include "test.h"

using namespace fanhorn;
using namespace fanhorn::ctl;

namespace {

std::string text_of(const Result<http::Upstream>& upstream) {
    if (!upstream)
        return "refused";
    return (upstream->url.is_secure ? "tls " : "") + upstream->url.host + ' ' + upstream->url.port +
           ' ' + upstream->url.authority + ' ' + upstream->target;
}

Route route_to(std::string_view channel) {
    return {ChannelTemplate::parse(channel).value(), {}, false, {}, {}};
}

std::string line_of(const Route& route, const Event& event) {
    const Routed routed = route.line(event);
    if (routed.kind == Routed::Kind::FilteredOut)
        return "filtered out";
    return routed.kind == Routed::Kind::Unfit ? "unfit: " + routed.text : routed.text;
}

} // namespace

static void test_upstreams(void**) {
    struct Row {
        const char *text, *upstream;
    };
    for (const Row& row : {Row{"http://h", "h 80 h /"},
                           {"https://h", "tls h 443 h /"},
                           {"https://h:80/a", "tls h 80 h:80 /a"},
                           {"https://[::1]/a", "tls ::1 443 [::1] /a"},
                           {"https://[::1]:8/a", "tls ::1 8 [::1]:8 /a"},
                           {"http://h:81/a/b?c=http://d/#e", "h 81 h:81 /a/b?c=http://d/"},
                           {"http://h?c", "h 80 h /?c"},
                           {"ftp://h/", "refused"},
                           {"h/a", "refused"},
                           {"http:///a", "refused"},
                           {"http://h:/a", "refused"},
                           {"http://u@h/a", "refused"},
                           {"http://h/a b", "refused"},
                           {"http://h/\r\nX: y", "refused"},
                           {"unix:/run/x", "refused"}})
        assert_row(row.text, text_of(http::parse_upstream(row.text)) == row.upstream);
}

static void test_redirects(void**) {
    struct Row {
        const char *from, *location, *upstream;
    };
    for (const Row& row : {Row{"http://h/a/b?c", "/d?e", "h 80 h /d?e"},
                           {"http://h/a/b?c/d", "e", "h 80 h /a/e"},
                           {"http://h/a/b?c", "?d", "h 80 h /a/b?d"},
                           {"http://h/a", "d?u=http://x/", "h 80 h /d?u=http://x/"},
                           {"http://h:81/a", "//i/b", "i 80 i /b"},
                           {"https://h:81/a", "/b", "tls h 81 h:81 /b"},
                           {"http://h/a", "https://i", "tls i 443 i /"},
                           {"https://h/a", "http://h/a", "refused"},
                           {"http://h/a", "ftp://h/a", "refused"},
                           {"http://h/a", "", "refused"}})
        assert_row(row.location, text_of(http::redirected(http::parse_upstream(row.from).value(),
                                                          row.location)) == row.upstream);
}

static void test_payloads(void**) {
    struct Row {
        const char *payload, *line;
    };
    for (const Row& row : {Row{R"({"a": 1e400})", R"("data":{"a": 1e400})"},
                           {"[1,\n2]", "\"data\":[1, 2]"},
                           {"7", "\"data\":7"},
                           {"\"x\"", "\"data\":\"x\""},
                           {"{\"a\":1", R"("text":"{\"a\":1")"},
                           {"a\nb", R"("text":"a\nb")"},
                           {"\xff", R"("base64":"/w==")"}})
        assert_row(row.payload, line_of(route_to("c"), {"", row.payload}) ==
                                    std::string("{\"channel\":\"c\",") + row.line + "}\n");
}

// What the daemon would not take as JSON is not sent as that.
static void test_depth(void**) {
    const auto nested = [](size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    assert_true(line_of(route_to("c"), {"", nested(63)}).find("\"data\":") != std::string::npos);
    assert_true(line_of(route_to("c"), {"", nested(64)}).find("\"text\":") != std::string::npos);
}

static void test_events(void**) {
    Route route = route_to("c");
    route.more_members = ",\"store\":0";
    assert_text(line_of(route, {"e\"", "1"}),
                "{\"channel\":\"c\",\"data\":1,\"event\":\"e\\\"\",\"store\":0}\n");
    assert_text(line_of(route, {"message", "1"}), "{\"channel\":\"c\",\"data\":1,\"store\":0}\n");
    assert_text(line_of(route, {"\xff", "1"}), "unfit: the event's name is not UTF-8");
    route.event = "mine";
    assert_text(line_of(route, {"e", "1"}),
                "{\"channel\":\"c\",\"data\":1,\"event\":\"mine\",\"store\":0}\n");
}

static void test_channels(void**) {
    struct Row {
        const char *channel, *payload, *line;
    };
    for (const Row& row :
         {Row{"w:{wiki}", R"({"wiki":"e\u006e"})", R"({"channel":"w:en",)"},
          {"{a}{b}:x", R"({"a":-1.50,"b":true})", R"({"channel":"-1.50true:x",)"},
          {"{a}", R"({"a":1,"a":2})", R"({"channel":"2",)"},
          {"{a}", R"({"a":null})", "unfit: no field 'a' for the channel's name"},
          {"{a}", R"({"b":{"a":1}})", "unfit: no field 'a' for the channel's name"},
          {"{a}", "[1]", "unfit: no field 'a' for the channel's name"},
          {"x}y", "1", R"({"channel":"x}y",)"}})
        assert_row(row.payload,
                   line_of(route_to(row.channel), {"", row.payload}).starts_with(row.line));
    for (const char* text : {"{", "{}", "a{b", "{a}{", "\xff"})
        assert_row(text, !ChannelTemplate::parse(text).ok());
}

static void test_filtered(void**) {
    Route route = route_to("c");
    route.filter = Filter::parse("k=v").value();
    assert_text(line_of(route, {"", R"({"k":"v"})"}),
                "{\"channel\":\"c\",\"data\":{\"k\":\"v\"}}\n");
    assert_text(line_of(route, {"", R"({"k":["v"]})"}), "filtered out");
    assert_text(line_of(route, {"", "k=v"}), "filtered out");
    route.needs_json = true;
    assert_text(line_of(route, {"", "k=v"}), "unfit: a line is not JSON");
}

static void test_backoff(void**) {
    Millis longest = 0;
    for (int round = 0; round < 300; ++round) {
        Backoff backoff;
        for (Millis bound = 500; bound <= 64'000; bound *= 2) {
            const Millis pause = backoff.failed(0);
            assert_in_range(pause, 1, std::min<Millis>(bound, Backoff::kLongestMs));
            longest = std::max(longest, pause);
        }
        assert_false(backoff.is_first());
        backoff.succeeded();
        assert_in_range(backoff.failed(0), 1, 500);
    }
    assert_true(longest > 20'000);
    Backoff backoff;
    assert_int_equal(backoff.failed(600), 600);
    assert_int_equal(backoff.failed(1'000'000'000), Backoff::kLongestAskedMs);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_upstreams), cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_payloads),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_events),    cmocka_unit_test(test_channels),
        cmocka_unit_test(test_filtered),  cmocka_unit_test(test_backoff),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
