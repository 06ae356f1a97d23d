// SPDX-License-Identifier: Apache-2.0
#include "server/answer.h"

#include "base/random.h"
#include "http/response.h"

namespace fanhorn {

Answer json_answer(std::string body) {
    Answer answer;
    answer.content_type = "application/json";
    answer.body = std::move(body);
    answer.body += '\n';
    return answer;
}

Answer problem_answer(const http::Problem& problem) {
    constexpr uint32_t kRetryMinS = 1;
    constexpr uint32_t kRetrySpreadS = 5; // so that those who were refused do not come together
    Answer answer;
    answer.status = problem.status;
    answer.content_type = "application/problem+json";
    answer.body = http::problem_body(problem);
    answer.body += '\n';
    if (problem.status == 429 || problem.status == 503)
        http::append_header(answer.headers, "Retry-After",
                            std::to_string(problem.retry_s
                                               ? problem.retry_s
                                               : kRetryMinS + random_below(kRetrySpreadS)));
    return answer;
}

} // namespace fanhorn
