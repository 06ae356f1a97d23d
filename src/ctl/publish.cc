// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "base/utf8.h"
#include "ctl/bridge.h"
#include "ctl/commands.h"
#include "ctl/json.h"
#include "http/grammar.h"

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace fanhorn::ctl {

namespace {

constexpr size_t kMaxLineBytes = 64 << 20;
constexpr int kAnswerTimeoutS = 30;

std::string read_failure() {
    return std::string("cannot read standard input: ") + std::strerror(errno);
}

Result<std::string> read_standard_input() {
    std::string text;
    char buffer[16384];
    while (true) {
        const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
        if (got < 0 && errno != EINTR)
            return Error{read_failure()};
        if (got == 0)
            return text;
        text.append(buffer, got > 0 ? static_cast<size_t>(got) : 0);
    }
}

// What one message's answer, or its line of a streamed answer, says. False when the output cannot
// be written any more.
bool print_published(const Arguments& arguments, std::string_view text, const Json& answer) {
    if (arguments.has("json"))
        return print_line(text);
    const uint64_t subscribers = number_member(answer, "subscribers");
    return print_line(text_member(answer, "id") + "  " + std::to_string(subscribers) +
                      (subscribers == 1 ? " subscriber" : " subscribers"));
}

std::string target(const Arguments& arguments) {
    struct Row {
        const char *option, *parameter;
    };
    std::string out = "/pub/" + http::percent_encode(arguments.operands[0]);
    char separator = '?';
    for (const Row& row :
         {Row{"event", "event"}, Row{"ttl", "ttl"}, Row{"idempotency-key", "idempotency_key"}}) {
        if (!arguments.has(row.option))
            continue;
        out += separator;
        out.append(row.parameter)
            .append("=")
            .append(http::percent_encode(arguments.option(row.option)));
        separator = '&';
    }
    if (arguments.has("no-store"))
        out.append(1, separator).append("store=0");
    return out;
}

int publish_once(const Arguments& arguments) {
    const bool is_given = arguments.operands.size() == 2 && arguments.operands[1] != "-";
    auto body = is_given ? Result(arguments.operands[1]) : read_standard_input();
    if (!body)
        return fail(body.error());
    Request request;
    request.method = arguments.has("retain") ? "PUT" : "POST";
    request.target = target(arguments);
    if (arguments.has("type"))
        request.headers = "Content-Type: " + arguments.option("type") + "\r\n";
    request.body = std::move(*body);
    const auto response = ask(arguments.daemon, request);
    if (!response)
        return fail(response.error());
    if (!response->ok())
        return fail(problem_text(*response));
    const auto answer = parse_json(response->body);
    if (!answer)
        return fail("the answer is not JSON");
    const std::string_view text = response->body;
    return print_published(arguments, text.substr(0, text.find('\n')), *answer) ? kOk
                                                                                : output_code();
}

// Standard input, a message a line, as NDJSON: one request for as long as lines keep coming.
class LineSender {
  public:
    explicit LineSender(const Arguments& arguments) : arguments_(arguments) {
        input_.fd = STDIN_FILENO;
        input_.convert = [this](std::string_view bytes) { return convert(bytes); };
    }

    int run() {
        while (!input_.is_over) {
            Request request;
            request.method = "POST";
            request.target = "/pub";
            request.headers = "Content-Type: application/x-ndjson\r\n";
            request.body = first_lines();
            request.input = input_.is_over ? nullptr : &input_;
            if (!request.body.empty() && !send(request))
                break;
        }
        if (input_.has_failed)
            exit_code_ = fail(failure_);
        return exit_code_;
    }

  private:
    // Waits for the first whole line: the daemon's patience begins with the request.
    std::string first_lines() {
        std::string lines;
        char buffer[16384];
        while (lines.empty() && !input_.is_over) {
            const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
            if (got < 0 && errno == EINTR)
                continue;
            input_.is_over = got <= 0;
            input_.has_failed = got < 0;
            lines = convert({buffer, got > 0 ? static_cast<size_t>(got) : 0});
        }
        return lines;
    }

    std::string convert(std::string_view bytes) {
        if (input_.has_failed)
            failure_ = read_failure();
        std::string lines;
        if (bytes.empty() && !rest_.empty() && !input_.has_failed)
            append_message(lines, std::exchange(rest_, {}));
        while (bytes.find('\n') != bytes.npos) {
            rest_ += take_until(bytes, '\n');
            append_message(lines, std::exchange(rest_, {}));
        }
        rest_ += bytes;
        if (rest_.size() > kMaxLineBytes) {
            input_.is_over = input_.has_failed = true;
            failure_ = "line " + std::to_string(sent_ + 1) + " is too long";
        }
        return lines;
    }

    // What `publish` without --type makes of the same bytes: JSON where they are an object or an
    // array, else text.
    void append_message(std::string& lines, std::string_view line) {
        lines += "{\"channel\":";
        append_json_string(lines, arguments_.operands[0]);
        const auto json = parse_json(line);
        if (json && json->is_structured()) {
            lines.append(",\"data\":").append(line);
        } else if (is_utf8(line)) {
            lines += ",\"text\":";
            append_json_string(lines, line);
        } else {
            lines.append(",\"base64\":\"").append(base64_encode(line)).append("\"");
        }
        for (const char* name : {"event", "ttl"})
            if (arguments_.has(name)) {
                lines.append(",\"").append(name).append("\":");
                append_json_string(lines, arguments_.option(name));
            }
        lines += arguments_.has("retain") ? ",\"retain\":true" : "";
        lines += arguments_.has("no-store") ? ",\"store\":0}\n" : "}\n";
        ++sent_;
    }

    // False when no more is to be sent; exit_code_ is set then.
    bool send(const Request& request) {
        const auto response = follow(arguments_.daemon, request, kAnswerTimeoutS,
                                     [this](std::string_view piece) { return on_answer(piece); });
        if (is_output_gone_) {
            exit_code_ = output_code();
            return false;
        }
        const bool is_whole = response && response->ok() && answered_ == sent_;
        if (!is_whole)
            exit_code_ = fail((!response         ? response.error()
                               : !response->ok() ? problem_text(*response)
                                                 : std::string("the daemon ended the answer")) +
                              "; " + std::to_string(answered_) + " of " + std::to_string(sent_) +
                              " lines were answered");
        return is_whole;
    }

    bool on_answer(std::string_view piece) {
        while (piece.find('\n') != piece.npos) {
            answer_ += take_until(piece, '\n');
            is_output_gone_ = !on_result(std::exchange(answer_, {}));
            if (is_output_gone_)
                return false;
        }
        answer_ += piece;
        return answer_.size() <= kMaxAnswerBytes;
    }

    bool on_result(const std::string& text) {
        const auto answer = parse_json(text);
        ++answered_;
        if (answer && answer->contains("id"))
            return print_published(arguments_, text, *answer);
        const auto status = answer ? number_member(*answer, "status") : 0;
        exit_code_ = fail("line " + std::to_string(answered_) + ": " +
                          problem_text({static_cast<int>(status), text}));
        return true;
    }

    const Arguments& arguments_;
    Input input_;
    std::string rest_;   // of a line that is not whole
    std::string answer_; // likewise
    std::string failure_;
    uint64_t sent_ = 0, answered_ = 0;
    bool is_output_gone_ = false;
    int exit_code_ = kOk;
};

// What makes no sense together; "" when all is well.
std::string_view misuse(const Arguments& arguments) {
    if (arguments.has("type") && !http::is_field_value(arguments.option("type")))
        return "--type is no content type";
    if (arguments.has("filter"))
        return "--filter goes with --from-sse or --from-ndjson";
    if (!arguments.has("lines"))
        return {};
    if (arguments.has("type") || arguments.has("idempotency-key"))
        return "--lines goes with neither --type nor --idempotency-key";
    if (!is_utf8(arguments.operands[0] + arguments.option("event") + arguments.option("ttl")))
        return "the channel, --event and --ttl are UTF-8";
    const bool has_data = arguments.operands.size() == 2 && arguments.operands[1] != "-";
    return has_data ? "--lines reads standard input: no DATA" : "";
}

} // namespace

int publish(const Arguments& arguments) {
    if (is_bridge(arguments))
        return bridge(arguments);
    if (const std::string_view wrong = misuse(arguments); !wrong.empty()) {
        warn(wrong);
        return kUsage;
    }
    return arguments.has("lines") ? LineSender(arguments).run() : publish_once(arguments);
}

} // namespace fanhorn::ctl
