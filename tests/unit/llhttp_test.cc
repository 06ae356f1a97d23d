// SPDX-License-Identifier: Apache-2.0
// Our verdicts beside those of an established parser.
#include "tests/unit/data/llhttp_requests.h"
#include "tests/unit/http_session.h"

#include <algorithm>
#include <iterator>

#include "tests/unit/test.h"

using namespace fanhorn::http;

namespace {

// Where ours are others, and why.
struct Difference {
    std::string_view name;
    bool is_refused;
    size_t messages;
    const char* why;
};
const Difference kDifferences[] = {
    {"content-length: Content-Length reset when no body is received", false, 0,
     "llhttp was told to skip the body, ours waits for it"},
    {"content-length: Missing CRLF-CRLF before body", false, 0, "refused when its line ends"},
    {"invalid: Invalid HTTP version", false, 0, "refused when its line ends"},
    {"invalid: Invalid space after start line", false, 0, "refused when its line ends"},
    {"invalid: HTTP protocol and ANNOUNCE method", false, 1, "unknown methods get 405 later"},
    {"invalid: Invalid method", false, 1, "unknown methods get 405 later"},
    {"method: CONNECT request", true, 0, "no proxy"},
    {"method: CONNECT request with CAPS", true, 0, "no proxy"},
    {"method: CONNECT with body", true, 0, "no proxy"},
    {"uri: Underscore in hostname", true, 0, "no proxy"},
    {"method: M-SEARCH request", true, 0, "'*' is for OPTIONS only"},
    {"method: PRI request HTTP2", true, 0, "'*' is for OPTIONS only"},
    {"method: SOURCE request with ICE", true, 0, "HTTP only"},
    {"method: OPTIONS request with RTSP", true, 0, "HTTP only"},
    {"method: ANNOUNCE request with RTSP", true, 0, "HTTP only"},
    {"sample: No HTTP version", true, 0, "no HTTP/0.9"},
    {"transfer-encoding: Unbalanced chunk extensions quoting", false, 0,
     "extensions are skipped to the CR, which no quotes can hide; the body goes on"},
    {"transfer-encoding: POST with chunked as last transfer-encoding", true, 0,
     "no coding but chunked, and no fragment in a target"},
    {"transfer-encoding: POST with chunked as last transfer-encoding (multiple headers)", true, 0,
     "no coding but chunked, and no fragment in a target"},
    {"uri: Fragment in URI", true, 0, "no fragment in a target (RFC 9112 section 3.2)"},
    {"uri: host:port and basic auth", true, 0, "no userinfo (RFC 9110 section 4.2.4)"},
};

const Difference* difference_of(std::string_view name) {
    const auto found = std::find_if(std::begin(kDifferences), std::end(kDifferences),
                                    [=](const Difference& row) { return row.name == name; });
    return found == std::end(kDifferences) ? nullptr : found;
}

} // namespace

static void test_verdicts(void**) {
    size_t differing = 0;
    for (const LlhttpRequest& row : kLlhttpRequests) {
        const Difference* const ours = difference_of(row.name);
        differing += ours != nullptr;
        const ParserLimits limits;
        HttpSession session(limits);
        session.feed(row.bytes);
        assert_row(row.name,
                   (session.problem.status != 0) == (ours ? ours->is_refused : row.is_refused));
        assert_row(row.name, session.messages == (ours ? ours->messages : row.messages));
        assert_row(row.name,
                   !ours || ours->is_refused != row.is_refused || ours->messages != row.messages);
    }
    assert_int_equal(differing, std::size(kDifferences));
}

static void test_cuts(void**) {
    for (const LlhttpRequest& row : kLlhttpRequests) {
        const ParserLimits limits;
        HttpSession whole(limits);
        whole.feed(row.bytes);
        for (const size_t size : {1, 2, 5}) {
            HttpSession pieces(limits);
            assert_row(row.name,
                       pieces.feed_in_pieces(row.bytes, size).outcome() == whole.outcome());
        }
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
