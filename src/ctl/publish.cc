// SPDX-License-Identifier: Apache-2.0
#include "ctl/commands.h"
#include "ctl/json.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace fanhorn::ctl {

namespace {

Result<std::string> read_standard_input() {
    std::string text;
    char buffer[16384];
    size_t got = 0;
    while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0)
        text.append(buffer, got);
    if (ferror(stdin))
        return Error{std::string("cannot read standard input: ") + std::strerror(errno)};
    return text;
}

} // namespace

int publish(const Arguments& arguments) {
    const bool is_given = arguments.operands.size() == 2 && arguments.operands[1] != "-";
    Request request;
    request.method = arguments.has("retain") ? "PUT" : "POST";
    request.target = "/pub/" + percent_encode(arguments.operands[0]);
    char separator = '?';
    for (const char* name : {"event", "ttl"}) {
        if (!arguments.has(name))
            continue;
        request.target += separator;
        request.target += std::string(name) + '=' + percent_encode(arguments.option(name));
        separator = '&';
    }
    auto body = is_given ? Result(arguments.operands[1]) : read_standard_input();
    if (!body)
        return fail(body.error());
    request.body = std::move(*body);
    const auto response = ask(arguments.url, request);
    if (!response)
        return fail(response.error());
    if (!response->ok())
        return fail(problem_text(*response));
    if (arguments.has("json"))
        return print_line(response->body.substr(0, response->body.find('\n'))) ? kOk
                                                                               : output_code();
    const auto answer = parse_json(response->body);
    if (!answer)
        return fail("the answer is not JSON");
    const uint64_t subscribers = number_member(*answer, "subscribers");
    return print_line(text_member(*answer, "id") + "  " + std::to_string(subscribers) +
                      (subscribers == 1 ? " subscriber" : " subscribers"))
               ? kOk
               : output_code();
}

} // namespace fanhorn::ctl
