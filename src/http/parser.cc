// SPDX-License-Identifier: Apache-2.0
#include "http/parser.h"

#include "base/check.h"
#include "base/text.h"
#include "http/grammar.h"
#include "http/target.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace fanhorn::http {
namespace {

using Verdict = std::optional<Problem>; // none: go on

constexpr size_t kMethodSize = 32;
constexpr size_t kUsualHeaders = 8;
constexpr std::string_view kVersion = "HTTP/1.1"; // all that we answer have its size
constexpr uint64_t kMaxLength = 1ull << 53;       // what every JSON and script can count

Problem bad(std::string_view detail) {
    return problem("bad_request", std::string(detail));
}

// HTTP-name "/" DIGIT "." DIGIT, case-sensitive (RFC 9112 section 2.3).
Verdict parse_version(std::string_view text, Request& request) {
    if (text.size() != kVersion.size() || !text.starts_with("HTTP/") || !is_digit(text[5]) ||
        text[6] != '.' || !is_digit(text[7]))
        return bad("the request line does not end with an HTTP version");
    if (text[5] != '1')
        return problem("version", "only HTTP/1.1 and HTTP/1.0 are spoken here");
    // RFC 9110 section 2.5: a higher minor version is answered as the highest that we know.
    request.minor_version = text[7] == '0' ? 0 : 1;
    return {};
}

// method SP request-target SP HTTP-version (RFC 9112 section 3). Also for the beginning of a line
// that is too long, to say what of it is.
Verdict parse_request_line(std::string_view line, const ParserLimits& limits, Request& request) {
    const std::string_view method = line.substr(0, line.find(' '));
    if (method.size() > kMethodSize || !is_token(method))
        return bad("the method is not a token of at most 32 characters");
    request.method = method_named(method);

    line.remove_prefix(std::min(method.size() + 1, line.size()));
    const std::string_view target = line.substr(0, line.find(' '));
    if (target.size() > limits.uri_size) {
        std::string detail = "the request target has more than ";
        append_number(detail, limits.uri_size);
        return problem("uri_too_long", detail + " bytes");
    }
    line.remove_prefix(std::min(target.size() + 1, line.size()));
    if (auto verdict = parse_version(line, request))
        return verdict;
    const std::string_view fault =
        target.empty() ? "the request target is missing" : parse_target(target, request);
    return fault.empty() ? Verdict() : bad(fault);
}

} // namespace

// A head on its way.
class RequestParser::Partial {
  public:
    // Takes bytes up to the end of a line, or all. `taken` says how many.
    Verdict take(std::string_view bytes, const ParserLimits& limits, size_t& taken);

    bool is_complete() const { return part_ == Part::Done; }
    // Only an empty line before the request line has come.
    bool is_empty_line() const { return is_empty_line_; }
    // As new, but for the memory.
    void restart();

    Head head;
    Problem problem;

  private:
    enum class Part : uint8_t { Start, RequestLine, Fields, Done };

    Verdict check_sizes(std::string_view line, const ParserLimits& limits) const;
    Verdict take_line(std::string_view line, const ParserLimits& limits);
    Verdict take_field(std::string_view line, const ParserLimits& limits);
    Verdict understand(const Header& field);
    Verdict take_length(std::string_view value);
    Verdict take_coding(std::string_view value);
    Verdict finish();

    Part part_ = Part::Start;
    bool is_empty_line_ = false;
    bool has_host_ = false, has_length_ = false, has_coding_ = false;
    size_t size_ = 0;  // of the lines before this one
    std::string line_; // what is there of a line that is not complete
};

void RequestParser::Partial::restart() {
    head.request.clear();
    head.framing = Framing::None;
    head.length = 0;
    part_ = Part::Start;
    is_empty_line_ = has_host_ = has_length_ = has_coding_ = false;
    size_ = 0;
    line_.clear();
}

Verdict RequestParser::Partial::take(std::string_view bytes, const ParserLimits& limits,
                                     size_t& taken) {
    if (part_ == Part::Start) {
        // Not only at the end of the line, which a peer that speaks TLS here may never send.
        if (bytes.front() != '\r' && !is_token_char(bytes.front()))
            return bad("this does not begin like an HTTP request");
        part_ = Part::RequestLine;
    }
    // One byte too many shows that the limit is passed; more need not be looked at or kept.
    bytes =
        bytes.substr(0, limits.head_size + 1 - std::min(limits.head_size, size_ + line_.size()));
    const size_t end = bytes.find('\n');
    taken = end == bytes.npos ? bytes.size() : end + 1;
    std::string_view line = bytes.substr(0, taken);
    if (end == bytes.npos || !line_.empty())
        line = line_.append(line);
    if (auto verdict = check_sizes(line, limits))
        return verdict;
    if (end == bytes.npos)
        return {};
    size_ += line.size();
    if (!line.ends_with("\r\n"))
        return bad("a line of the head does not end with CR and LF");
    auto verdict = take_line(line.substr(0, line.size() - 2), limits);
    line_.clear();
    return verdict;
}

// At the first byte too many, wherever the bytes are cut. `line` may have its end or not.
Verdict RequestParser::Partial::check_sizes(std::string_view line,
                                            const ParserLimits& limits) const {
    const size_t most = limits.head_size - std::min(size_, limits.head_size);
    const size_t longest = kMethodSize + 1 + limits.uri_size + 1 + kVersion.size() + 2;
    if (part_ == Part::RequestLine && line.size() > longest && longest <= most) {
        Request ignored;
        auto verdict = parse_request_line(line.substr(0, longest + 1), limits, ignored);
        CHECK(verdict);
        return verdict;
    }
    if (line.size() <= most)
        return {};
    std::string detail = "the request's head has more than ";
    append_number(detail, limits.head_size);
    return http::problem("headers_too_large", detail + " bytes");
}

Verdict RequestParser::Partial::take_line(std::string_view line, const ParserLimits& limits) {
    if (part_ == Part::Fields)
        return line.empty() ? finish() : take_field(line, limits);
    is_empty_line_ = line.empty();
    if (is_empty_line_)
        return {};
    part_ = Part::Fields;
    return parse_request_line(line, limits, head.request);
}

// field-name ":" OWS field-value OWS (RFC 9112 section 5). A blank before the name would be a
// folded line, one before the colon a way past a filter: neither is a token.
Verdict RequestParser::Partial::take_field(std::string_view line, const ParserLimits& limits) {
    const size_t colon = line.find(':');
    if (colon == line.npos || !is_token(line.substr(0, colon)))
        return bad("a field name is not a token followed by ':'");
    if (head.request.headers.size() == limits.header_count) {
        std::string detail = "there are more than ";
        append_number(detail, limits.header_count);
        return http::problem("headers_too_large", detail + " header fields");
    }
    const std::string_view value = trim_blanks(line.substr(colon + 1));
    if (!is_field_value(value))
        return bad("a field value has a control character");
    if (head.request.headers.empty())
        head.request.headers.reserve(kUsualHeaders);
    head.request.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
    return understand(head.request.headers.back());
}

// The fields that decide where the request ends and whom it is for.
Verdict RequestParser::Partial::understand(const Header& field) {
    if (equal_ignoring_case(field.name, "host")) {
        if (std::exchange(has_host_, true))
            return bad("there are two Host fields");
        if (!is_authority(field.value))
            return bad("the Host field is malformed");
        if (head.request.authority.empty()) // absolute-form has priority (RFC 9112 section 3.2.2)
            head.request.authority = field.value;
    } else if (equal_ignoring_case(field.name, "content-length")) {
        return take_length(field.value);
    } else if (equal_ignoring_case(field.name, "transfer-encoding")) {
        return take_coding(field.value);
    } else if (equal_ignoring_case(field.name, "expect")) {
        if (!equal_ignoring_case(field.value, "100-continue"))
            return http::problem("expectation_failed", "only 100-continue can be expected");
        // RFC 9110 section 10.1.1: an HTTP/1.0 client does not wait.
        head.request.expects_continue = head.request.minor_version >= 1;
    }
    return {};
}

// RFC 9110 section 8.6 would let a list of equal numbers pass; nobody honest sends one.
Verdict RequestParser::Partial::take_length(std::string_view value) {
    if (std::exchange(has_length_, true))
        return bad("there are two Content-Length fields");
    const auto length = parse_u64(value);
    if (!length || *length > kMaxLength)
        return bad("the Content-Length is not a number of at most 2^53");
    head.length = *length;
    return {};
}

Verdict RequestParser::Partial::take_coding(std::string_view value) {
    if (std::exchange(has_coding_, true) || !equal_ignoring_case(value, "chunked"))
        return bad("the only Transfer-Encoding spoken here is 'chunked', once");
    return {};
}

// What only the whole head can tell.
Verdict RequestParser::Partial::finish() {
    Request& request = head.request;
    if (request.minor_version >= 1 && !has_host_)
        return bad("the Host field is missing");
    if (has_coding_ && has_length_) // RFC 9112 section 6.1: "ought to be handled as an error"
        return bad("Content-Length and Transfer-Encoding exclude each other");
    if (has_coding_ && request.minor_version == 0)
        return bad("HTTP/1.0 has no Transfer-Encoding");
    if (has_coding_)
        head.framing = Framing::Chunked;
    else if (head.length > 0)
        head.framing = Framing::Length;
    // RFC 9112 section 9.3.
    request.keep_alive =
        !request.header_has_token("connection", "close") &&
        (request.minor_version >= 1 || request.header_has_token("connection", "keep-alive"));
    part_ = Part::Done;
    return {};
}

RequestParser::RequestParser(const ParserLimits& limits)
    : limits_(&limits), partial_(std::make_unique<Partial>()) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

RequestParser::Step RequestParser::feed(std::string_view bytes) {
    for (size_t at = 0, taken = 0; at < bytes.size(); at += taken, taken = 0) {
        if (std::exchange(is_idle_, false))
            partial_->restart();
        auto verdict = partial_->take(bytes.substr(at), *limits_, taken);
        // RFC 9112 section 2.2: one empty line before a request is an old client's habit. It is
        // no beginning: the connection stays idle.
        if (partial_->is_empty_line()) {
            if (!std::exchange(skipped_empty_line_, true)) {
                is_idle_ = true;
                continue;
            }
            verdict = bad("there are empty lines before the request line");
        }
        if (verdict) {
            partial_->problem = std::move(*verdict);
            return {Status::Error, at + taken};
        }
        if (partial_->is_complete()) {
            restart();
            return {Status::Head, at + taken};
        }
    }
    return {Status::NeedMore, bytes.size()};
}

void RequestParser::restart() {
    is_idle_ = true;
    skipped_empty_line_ = false;
}

Head& RequestParser::head() {
    return partial_->head;
}

const Problem& RequestParser::problem() const {
    CHECK(!partial_->problem.code.empty());
    return partial_->problem;
}

} // namespace fanhorn::http
