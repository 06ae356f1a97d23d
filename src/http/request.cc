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

const std::string* Request::header(std::string_view name) const {
    for (const Header& field : headers) {
        if (equal_ignoring_case(field.name, name))
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

} // namespace fanhorn::http
