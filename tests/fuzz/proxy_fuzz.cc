// SPDX-License-Identifier: Apache-2.0
// A PROXY header; behind a first byte 'F' or 'X' the value of Forwarded or X-Forwarded-For.
#include "base/check.h"
#include "http/forwarded.h"
#include "http/proxy_header.h"

#include <cstddef>
#include <cstdint>

using namespace fanhorn;
using namespace fanhorn::http;
using Status = ProxyHeader::Status;

namespace {

// Bytes that come later change nothing that was said, and one that is whole needs each of its own.
void check_header(std::string_view bytes) {
    const ProxyHeader all = read_proxy_header(bytes);
    for (size_t size = 0; size < bytes.size(); ++size) {
        const ProxyHeader part = read_proxy_header(bytes.substr(0, size));
        CHECK(part.status == Status::NeedMore || part.status == all.status);
        if (all.status == Status::Whole)
            CHECK((part.status == Status::Whole) == (size >= all.size));
        if (part.status == Status::Whole)
            CHECK(part.size == all.size && part.source == all.source);
    }
    CHECK(all.status != Status::NeedMore || bytes.size() < kMaxProxyHeader);
    CHECK(all.status != Status::Whole || (all.size <= bytes.size() && all.size <= kMaxProxyHeader));
    CHECK(all.status != Status::Malformed || !all.fault.empty());
}

// What a stranger wrote before them does not change what proxies append.
void check_hops(std::string_view name, std::string_view value) {
    const bool is_forwarded = name == "Forwarded";
    const std::string appended = is_forwarded
                                     ? ", for=192.0.2.1;host=\"a\\\"\", for=\"[2001:db8::1]:80\""
                                     : ", 192.0.2.1, [2001:db8::1]:80";
    Request request;
    request.headers = {{std::string(name), std::string(value) + appended}};
    ForwardedHops hops(request);
    const auto nearest = hops.next(), next = hops.next();
    CHECK(nearest && to_text(*nearest) == "[2001:db8::1]:80");
    CHECK(next && to_text(*next) == "192.0.2.1");
    size_t count = 0;
    while (const auto hop = hops.next()) {
        CHECK(hop->kind == NetAddress::Kind::V4 || hop->kind == NetAddress::Kind::V6);
        CHECK(++count <= value.size());
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (bytes.starts_with('F') || bytes.starts_with('X'))
        check_hops(bytes.front() == 'F' ? "Forwarded" : "X-Forwarded-For", bytes.substr(1));
    else
        check_header(bytes);
    return 0;
}
