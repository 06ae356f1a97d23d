// SPDX-License-Identifier: Apache-2.0
#include "http/request.h"

#include "base/text.h"

#include <algorithm>
#include <array>

namespace fanhorn::http {
namespace {

// In the order of Method.
constexpr std::array<std::string_view, 10> kMethods = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "-"};
static_assert(kMethods.size() == static_cast<size_t>(Method::Other) + 1);

} // namespace

std::string_view method_name(Method method) {
    return kMethods[static_cast<size_t>(method)];
}

Method method_named(std::string_view token) {
    const auto found = std::find(kMethods.begin(), kMethods.end() - 1, token);
    return static_cast<Method>(found - kMethods.begin());
}

void Request::clear() {
    method = Method::Get;
    minor_version = 1;
    for (std::string* each : {&path, &query, &authority})
        each->clear();
    headers.clear();
    parameters.clear();
    keep_alive = true;
    expects_continue = false;
}

const std::string* Request::header(std::string_view name) const {
    for (const Header& field : headers) {
        if (field.name.size() == name.size() && equal_ignoring_case(field.name, name))
            return &field.value;
    }
    return nullptr;
}

size_t Request::header_count(std::string_view name) const {
    return static_cast<size_t>(
        std::count_if(headers.begin(), headers.end(),
                      [=](const Header& field) { return equal_ignoring_case(field.name, name); }));
}

const std::string* Request::parameter(std::string_view name) const {
    for (const QueryParameter& candidate : parameters) {
        if (candidate.name == name)
            return &candidate.value;
    }
    return nullptr;
}

bool Request::header_has_token(std::string_view name, std::string_view token) const {
    for (const Header& field : headers) {
        if (!equal_ignoring_case(field.name, name))
            continue;
        for (std::string_view rest = field.value; !rest.empty();) {
            if (equal_ignoring_case(trim_blanks(take_until(rest, ',')), token))
                return true;
        }
    }
    return false;
}

bool Request::accepts(std::string_view type) const {
    for (const Header& header : headers) {
        if (!equal_ignoring_case(header.name, "Accept"))
            continue;
        std::string_view rest = header.value;
        while (!rest.empty()) {
            std::string_view options = take_until(rest, ',');
            if (!equal_ignoring_case(trim_blanks(take_until(options, ';')), type))
                continue;
            bool is_refused = false;
            while (!options.empty()) {
                const std::string_view each = trim_blanks(take_until(options, ';'));
                is_refused |= each.size() > 2 && lower(each[0]) == 'q' && each[1] == '=' &&
                              each.substr(2).find_first_not_of("0.") == each.npos;
            }
            if (!is_refused)
                return true;
        }
    }
    return false;
}

} // namespace fanhorn::http
