// SPDX-License-Identifier: Apache-2.0
// A stream of requests, whole and in pieces: both must be understood alike. The first byte chooses
// the pieces and the limits.
#include "tests/unit/http_session.h"

#include "base/check.h"
#include "base/utf8.h"
#include "http/grammar.h"

#include <cstddef>
#include <cstdint>

using namespace fanhorn;
using namespace fanhorn::http;

namespace {

const ParserLimits kDefault;
const ParserLimits kTight{.head_size = 96, .uri_size = 24, .header_count = 3};

// What the rest of the house relies on.
void check_request(const Request& request) {
    CHECK(!request.path.empty());
    CHECK(request.minor_version == 0 || request.minor_version == 1);
    CHECK(request.authority.empty() || is_authority(request.authority));
    CHECK(request.minor_version == 0 || request.header_count("host") == 1);
    for (const Header& field : request.headers)
        CHECK(is_token(field.name) && is_field_value(field.value));
}

void check_first(std::string_view bytes, const ParserLimits& limits) {
    RequestParser parser(limits);
    const auto step = parser.feed(bytes);
    CHECK(step.consumed <= bytes.size());
    if (step.status == RequestParser::Status::Head)
        check_request(parser.head().request);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0)
        return 0;
    const size_t piece = data[0] % 16 + 1;
    const ParserLimits& limits = data[0] & 0x80 ? kTight : kDefault;
    const uint64_t body_limit = data[0] & 0x40 ? 16 : UINT64_MAX;
    const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
    check_first(bytes, limits);

    HttpSession whole(limits, body_limit), pieces(limits, body_limit);
    whole.feed(bytes);
    pieces.feed_in_pieces(bytes, piece);
    CHECK(whole.outcome() == pieces.outcome());
    CHECK(is_utf8(problem_body(whole.problem)));
    return 0;
}
