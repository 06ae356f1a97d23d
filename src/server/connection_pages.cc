// SPDX-License-Identifier: Apache-2.0
// What a browser is shown: the pages, their scripts, the dashboard's figures.
#include "http/response.h"
#include "server/connection.h"
#include "server/dashboard.h"
#include "server/pages.h"
#include "server/worker.h"

namespace fanhorn {

namespace {

std::string page_name(std::string_view path) {
    std::string name(path.substr(1));
    if (name.starts_with("fanhorn."))
        return name;
    return (name.empty() ? "demo" : name) + ".html";
}

} // namespace

// A script may be kept for an hour, the page is asked for again. Browsers say what they have.
void Connection::answer_page() {
    const http::Request& request = exchange_->request;
    const bool is_script = request.path.starts_with("/fanhorn.");
    const WebPage* page = find_web_page(page_name(request.path));
    CHECK(page);
    const bool is_gzip = request.header_has_token("Accept-Encoding", "gzip");
    const std::string_view tag = is_gzip ? page->gzip_tag : page->tag;
    Answer answer;
    http::append_header(answer.headers, "ETag", tag);
    http::append_header(answer.headers, "Vary", "Accept-Encoding");
    http::append_header(answer.headers, "Cache-Control",
                        is_script ? "public, max-age=3600" : "no-cache");
    if (request.header_has_token("If-None-Match", tag)) {
        answer.status = 304;
        return send_answer(answer);
    }
    answer.content_type = page->content_type;
    answer.body = is_gzip ? page->gzip : page->body;
    if (is_gzip)
        http::append_header(answer.headers, "Content-Encoding", "gzip");
    if (!is_script)
        http::append_header(answer.headers, "Content-Security-Policy",
                            "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' "
                            "'unsafe-inline'; connect-src 'self' ws: wss:; img-src data:; "
                            "frame-ancestors 'none'; base-uri 'none'; form-action 'self'");
    send_answer(answer);
}

// The figures of the daemon, as they come.
void Connection::watch_dashboard() {
    Transport& transport = *worker().transport("sse");
    exchange_->transport = &transport;
    if (exchange_->is_head) {
        Answer answer;
        answer.content_type = transport.content_type();
        return send_answer(answer);
    }
    if (worker().is_draining())
        return refuse_subscription(http::problem("draining", "the server is going away"));
    exchange_->request.parameters.clear(); // a plain stream, whatever they ask for
    Wish wish;
    wish.channels = {std::string(kDashboardChannel)};
    wish.settings = {&dashboard_settings()};
    start_subscription(transport, std::move(wish));
}

} // namespace fanhorn
