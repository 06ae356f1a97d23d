// SPDX-License-Identifier: Apache-2.0
#include "http/response.h"

#include "base/check.h"
#include "base/text.h"
#include "http/grammar.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace fanhorn::http {
namespace {

struct Phrase {
    int status;
    std::string_view text;
};

// Those that we send.
constexpr Phrase kPhrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

// `Date: …`, made once a second on each thread.
const std::string& date_line() {
    thread_local time_t made_at = -1;
    thread_local std::string line;
    timespec now{};
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != made_at) {
        made_at = now.tv_sec;
        line = "Date: " + http_date(made_at) + "\r\n";
    }
    return line;
}

} // namespace

std::string_view reason_phrase(int status) {
    const Phrase* const phrase =
        std::find_if(std::begin(kPhrases), std::end(kPhrases),
                     [=](const Phrase& row) { return row.status == status; });
    return phrase == std::end(kPhrases) ? "" : phrase->text;
}

void append_status(std::string& out, int status) {
    CHECK(status >= 100 && status <= 599);
    constexpr size_t kUsualBytes = 512; // of a head and a short body
    out.reserve(out.size() + kUsualBytes);
    if (status == 200) { // nearly all
        out += "HTTP/1.1 200 OK\r\n";
    } else {
        out += "HTTP/1.1 ";
        append_number(out, static_cast<uint64_t>(status));
        out += ' '; // stays without a phrase (RFC 9112 section 4)
        out += reason_phrase(status);
        out += "\r\n";
    }
    out += date_line();
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
    CHECK(is_token(name));
    CHECK(is_field_value(value));
    out += name;
    out += ": ";
    out += value;
    out += "\r\n";
}

void append_content_length(std::string& out, uint64_t size) {
    out += "Content-Length: ";
    append_number(out, size);
    out += "\r\n";
}

void append_connection(std::string& out, bool keep_alive, int minor_version) {
    if (!keep_alive)
        out += "Connection: close\r\n";
    else if (minor_version == 0)
        out += "Connection: keep-alive\r\n";
}

std::string http_date(time_t time) {
    // Not strftime: its names follow the locale.
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    tm parts{};
    gmtime_r(&time, &parts);
    char text[64];
    const int size = std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                   kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                                   parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
    return {text, static_cast<size_t>(size)};
}

} // namespace fanhorn::http
