// SPDX-License-Identifier: Apache-2.0
#include "http/problem.h"

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>
#include <iterator>

namespace fanhorn::http {
namespace {

struct Kind {
    std::string_view code;
    int status;
    std::string_view title;
};

// Every code there is.
constexpr Kind kKinds[] = {
    {"bad_request", 400, "The request is malformed"},
    {"bad_channel", 400, "The channel name is not valid here"},
    {"bad_option", 400, "An option is not valid"},
    {"bad_position", 400, "The position does not parse"},
    {"unauthorized", 401, "Credentials are missing or not valid"},
    {"forbidden", 403, "This is not allowed"},
    {"channel_unknown", 404, "No section governs this channel"},
    {"not_found", 404, "There is nothing here"},
    {"method_not_allowed", 405, "The method is not allowed here"},
    {"not_acceptable", 406, "No allowed transport fits the request"},
    {"timeout", 408, "The request took too long to arrive"},
    {"idempotency_mismatch", 409, "The idempotency key was used with another content"},
    {"too_large", 413, "The body is too large"},
    {"uri_too_long", 414, "The request target is too long"},
    {"unsupported_type", 415, "The content type is not supported here"},
    {"expectation_failed", 417, "The expectation cannot be met"},
    {"upgrade_required", 426, "The request needs an upgrade"},
    {"rate_limited", 429, "Too many requests"},
    {"headers_too_large", 431, "The header fields are too large"},
    {"internal", 500, "The server failed"},
    {"overloaded", 503, "The server is overloaded"},
    {"store_down", 503, "The message store is away"},
    {"broker_down", 503, "The broker is away"},
    {"draining", 503, "The server is going away"},
    {"version", 505, "The HTTP version is not supported"},
};

} // namespace

Problem problem(std::string_view code, std::string detail) {
    const Kind* const kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                          [&](const Kind& row) { return row.code == code; });
    CHECK(kind != std::end(kKinds));
    return {kind->status, kind->code, kind->title, std::move(detail), {}, 0};
}

std::string problem_body(const Problem& problem) {
    std::string out = R"({"type":"about:blank","status":)";
    append_number(out, static_cast<uint64_t>(problem.status));
    out += R"(,"code":)";
    append_json_string(out, problem.code);
    out += R"(,"title":)";
    append_json_string(out, problem.title);
    out += R"(,"detail":)";
    append_json_string(out,
                       is_utf8(problem.detail) ? problem.detail : escape_for_log(problem.detail));
    if (!problem.members.empty())
        out.append(1, ',').append(problem.members);
    out += '}';
    return out;
}

} // namespace fanhorn::http
