// SPDX-License-Identifier: Apache-2.0
#include "http/response_reader.h"

#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>

namespace fanhorn::http {

namespace {

// A chunk size: 1 to 15 hex digits, then perhaps an extension.
bool parse_chunk_size(std::string_view line, uint64_t& size) {
    line = line.substr(0, line.find(';'));
    if (line.empty() || line.size() > 15)
        return false;
    size = 0;
    for (const char digit : line) {
        if (hex_value(digit) < 0)
            return false;
        size = size * 16 + static_cast<uint64_t>(hex_value(digit));
    }
    return true;
}

} // namespace

bool ResponseReader::feed(std::string_view bytes) {
    rest_ += bytes;
    while (step_ != Step::Done && step_ != Step::Bad && take()) {
    }
    if (body_.size() > max_body_)
        step_ = Step::Bad;
    return step_ != Step::Bad;
}

bool ResponseReader::end() {
    if (step_ == Step::UntilClose)
        step_ = Step::Done;
    return step_ == Step::Done;
}

std::string ResponseReader::header(std::string_view name) const {
    for (const Header& header : headers_)
        if (equal_ignoring_case(header.name, name))
            return header.value;
    return {};
}

size_t ResponseReader::count(std::string_view name) const {
    return static_cast<size_t>(
        std::count_if(headers_.begin(), headers_.end(), [&](const Header& header) {
            return equal_ignoring_case(header.name, name);
        }));
}

// One step; whether to go on with what is left.
bool ResponseReader::take() {
    switch (step_) {
    case Step::Head:
        return take_head();
    case Step::Length:
        return take_data(Step::Done);
    case Step::ChunkData:
        return take_data(Step::ChunkEnd);
    case Step::UntilClose:
        body_ += rest_;
        rest_.clear();
        return false;
    default:
        return take_line();
    }
}

bool ResponseReader::take_head() {
    const size_t end = rest_.find("\r\n\r\n");
    if (end == rest_.npos) {
        if (rest_.size() > kMaxHeadBytes)
            step_ = Step::Bad;
        return false;
    }
    const std::string head = rest_.substr(0, end + 2);
    rest_.erase(0, end + 4);
    if (!read_head(head))
        step_ = Step::Bad;
    return step_ != Step::Bad;
}

bool ResponseReader::read_head(std::string_view head) {
    headers_.clear();
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    if (!read_status(line))
        return false;
    while (!head.empty()) {
        const std::string_view field = head.substr(0, head.find("\r\n"));
        head.remove_prefix(field.size() + 2);
        if (!read_field(field))
            return false;
    }
    if (status_ < 200) { // interim: the real one follows
        const bool is_switch = status_ == 101;
        status_ = 0;
        return !is_switch;
    }
    keeps_alive_ = line[7] == '1' && !equal_ignoring_case(header("Connection"), "close");
    return choose_framing();
}

// HTTP/1.1 200 OK (RFC 9112 section 4).
bool ResponseReader::read_status(std::string_view line) {
    if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ' ||
        (line.size() > 12 && line[12] != ' '))
        return false;
    status_ = static_cast<int>(parse_u64(line.substr(9, 3)).value_or(0));
    return status_ >= 100;
}

bool ResponseReader::read_field(std::string_view field) {
    const size_t colon = field.find(':');
    if (colon == field.npos || !is_token(field.substr(0, colon)))
        return false;
    const std::string_view value = trim_blanks(field.substr(colon + 1));
    headers_.push_back({std::string(field.substr(0, colon)), std::string(value)});
    return is_field_value(value);
}

// RFC 9112 section 6.3.
bool ResponseReader::choose_framing() {
    const size_t lengths = count("Content-Length"), codings = count("Transfer-Encoding");
    if (lengths + codings > 1)
        return false;
    if (status_ == 204 || status_ == 304) {
        step_ = Step::Done;
    } else if (codings > 0) {
        step_ = Step::ChunkSize;
        return equal_ignoring_case(header("Transfer-Encoding"), "chunked");
    } else if (lengths > 0) {
        const auto bytes = parse_u64(header("Content-Length"));
        left_ = bytes.value_or(0);
        step_ = left_ ? Step::Length : Step::Done;
        return bytes.has_value();
    } else {
        step_ = Step::UntilClose;
        keeps_alive_ = false;
    }
    return true;
}

bool ResponseReader::take_data(Step next) {
    const size_t size = std::min<uint64_t>(left_, rest_.size());
    body_.append(rest_, 0, size);
    rest_.erase(0, size);
    left_ -= size;
    if (left_ > 0)
        return false;
    step_ = next;
    return true;
}

bool ResponseReader::take_line() {
    const size_t end = rest_.find("\r\n");
    if (end == rest_.npos) {
        if (rest_.size() > kMaxHeadBytes)
            step_ = Step::Bad;
        return false;
    }
    const std::string line = rest_.substr(0, end);
    rest_.erase(0, end + 2);
    if (!at_line(line))
        step_ = Step::Bad;
    return step_ != Step::Bad;
}

bool ResponseReader::at_line(std::string_view line) {
    switch (step_) {
    case Step::ChunkSize:
        if (!parse_chunk_size(line, left_))
            return false;
        step_ = left_ ? Step::ChunkData : Step::Trailers;
        return true;
    case Step::ChunkEnd:
        step_ = Step::ChunkSize;
        return line.empty();
    case Step::Trailers:
        if (line.empty())
            step_ = Step::Done;
        return true;
    default:
        return false;
    }
}

} // namespace fanhorn::http
