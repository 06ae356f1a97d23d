// SPDX-License-Identifier: Apache-2.0
// Reads a stream of requests as a connection does, and writes down what it understood.
#pragma once

#include "base/text.h"
#include "http/body.h"
#include "http/parser.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace fanhorn::http {

class HttpSession {
  public:
    explicit HttpSession(const ParserLimits& limits, uint64_t body_limit = UINT64_MAX)
        : parser_(limits), body_limit_(body_limit) {}

    // A line each request: `METHOD TARGET 1.MINOR AUTHORITY [fields] keep|close "body"`.
    std::string transcript;
    size_t heads = 0;                   // that were accepted
    size_t messages = 0;                // that were read to their end
    Problem problem{0, {}, {}, {}, {}}; // status 0: none
    bool is_closed = false;
    size_t fed = 0; // bytes of the stream that were looked at

    HttpSession& feed(std::string_view bytes) {
        while (!bytes.empty() && !is_closed) {
            const size_t consumed = in_body_ ? feed_body(bytes) : feed_head(bytes);
            fed += consumed;
            bytes.remove_prefix(consumed);
        }
        return *this;
    }
    HttpSession& feed_in_pieces(std::string_view bytes, size_t size) {
        for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size())))
            feed(bytes.substr(0, size));
        return *this;
    }

    // Everything, for comparing two ways to the same end.
    std::string outcome() const {
        std::string out = transcript;
        if (problem.status)
            out += problem_body(problem);
        else if (is_closed)
            out += "closed";
        else
            out += in_body_            ? "in body " + escape_for_log(body_)
                   : parser_.is_idle() ? "idle"
                                       : "in head";
        return out;
    }
    bool is_idle() const { return parser_.is_idle() && !in_body_; }

  private:
    size_t feed_head(std::string_view bytes) {
        const auto step = parser_.feed(bytes);
        if (step.status == RequestParser::Status::Error)
            fail(parser_.problem());
        if (step.status != RequestParser::Status::Head)
            return step.consumed;
        Head head = parser_.head();
        ++heads;
        request_ = std::move(head.request);
        reader_ = BodyReader(head.framing, head.length, body_limit_);
        body_.clear();
        in_body_ = true;
        feed_body({});
        return step.consumed;
    }

    size_t feed_body(std::string_view bytes) {
        const auto step = reader_.feed(bytes, body_);
        if (step.status == BodyReader::Status::Error)
            fail(reader_.problem());
        if (step.status == BodyReader::Status::Done)
            finish();
        return step.consumed;
    }

    void finish() {
        in_body_ = false;
        ++messages;
        is_closed = !request_.keep_alive;
        transcript += method_name(request_.method);
        transcript += ' ' + request_.path;
        if (!request_.query.empty())
            transcript += '?' + request_.query;
        transcript += " 1." + std::to_string(request_.minor_version) + ' ';
        transcript += request_.authority + " [";
        for (const Header& field : request_.headers)
            transcript += field.name + ": " + escape_for_log(field.value) + "; ";
        transcript += request_.keep_alive ? "] keep " : "] close ";
        if (request_.expects_continue)
            transcript += "continue ";
        transcript += '"' + escape_for_log(body_) + "\"\n";
    }

    void fail(Problem found) {
        problem = std::move(found);
        is_closed = true;
    }

    RequestParser parser_;
    BodyReader reader_;
    const uint64_t body_limit_;
    Request request_;
    std::string body_;
    bool in_body_ = false;
};

} // namespace fanhorn::http
