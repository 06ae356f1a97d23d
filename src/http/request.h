// SPDX-License-Identifier: Apache-2.0
// An HTTP request as plain data; what HTTP/1.1 parses and, later, HTTP/2 delivers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn::http {

enum class Method : uint8_t { Get, Head, Post, Put, Delete, Options, Connect, Trace, Patch, Other };

// The method's token, e.g. "GET"; "-" for Other.
std::string_view method_name(Method method);
// Case-sensitive (RFC 9110 section 9.1); what is none of the others is Other.
Method method_named(std::string_view token);

struct Header {
    std::string name;  // as sent; compare with find(), which ignores case
    std::string value; // without surrounding blanks (RFC 9110 section 5.5)
};

struct QueryParameter {
    std::string name, value; // percent-decoded, '+' is a blank
};

// Owns its text, so that it outlives the read buffer. Everything in it is a stranger's.
struct Request {
    Method method = Method::Get;
    int minor_version = 1; // HTTP/1.minor
    std::string path;      // percent-encoded as sent, without query; "*" for asterisk-form
    std::string query;     // as sent, without '?'
    std::string authority; // Host, or the authority of absolute-form (RFC 9112 section 3.2.2)
    std::vector<Header> headers;
    std::vector<QueryParameter> parameters; // of the query, in order
    bool keep_alive = true;                 // RFC 9112 section 9.3
    bool expects_continue = false;

    // As new, but for the memory.
    void clear();
    // The first header of that name in any case, or null.
    const std::string* header(std::string_view name) const;
    // How often that header occurs.
    size_t header_count(std::string_view name) const;
    // The first query parameter of that name (exact case), or null.
    const std::string* parameter(std::string_view name) const;
    // Whether the comma-separated list header(s) `name` contain `token`, ignoring case.
    bool header_has_token(std::string_view name, std::string_view token) const;
    // Whether Accept names that media type, ignoring case and parameters, but not with `q=0`
    // (RFC 9110 section 12.5.1). Wildcards are types of their own here.
    bool accepts(std::string_view type) const;
};

} // namespace fanhorn::http
