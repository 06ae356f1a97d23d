// SPDX-License-Identifier: MIT
// Requests and verdicts from the test files of llhttp (https://github.com/nodejs/llhttp,
// test/request/*.md); the lenient modes are left out. Where a request of HTTP/1.1 had no Host,
// which llhttp does not ask for, `Host: a` was put in.
//
// Copyright Fedor Indutny, 2018.
//
// Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
// associated documentation files (the "Software"), to deal in the Software without restriction,
// including without limitation the rights to use, copy, modify, merge, publish, distribute,
// sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
// furnished to do so, subject to the following conditions:
//
// The above copyright notice and this permission notice shall be included in all copies or
// substantial portions of the Software.
//
// THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
// NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
// NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
// DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
// OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
#pragma once

#include <string>

struct LlhttpRequest {
    const char* name;
    std::string bytes;
    bool is_refused; // not for CONNECT, Upgrade and data behind `close`, where llhttp only pauses
    size_t messages; // read to their end, pausing ones too
};

// clang-format off
inline const LlhttpRequest kLlhttpRequests[] = {
    {"connection: Setting flag", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: keep-alive\r\n"
        "\r\n", 54), false, 1},
    {"connection: Restarting when keep-alive is explicitly", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: keep-alive\r\n"
        "\r\n"
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: keep-alive\r\n"
        "\r\n", 108), false, 2},
    {"connection: No restart when keep-alive is off (1.0)", std::string(
        "PUT /url HTTP/1.0\r\n"
        "\r\n"
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 51), false, 1},
    {"connection: Setting flag on close", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: close\r\n"
        "\r\n", 49), false, 1},
    {"connection: Setting flag on close followed by tab", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: close\t\r\n"
        "\r\n", 50), false, 1},
    {"connection: Multiple tokens with folding and LWS", std::string(
        "GET /demo HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: keep-alive, upgrade\r\n"
        "Upgrade: WebSocket\r\n"
        "\r\n"
        "Hot diggity dogg", 100), false, 1},
    {"connection: Invalid whitespace token with Connection header field", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection : upgrade\r\n"
        "Content-Length: 4\r\n"
        "Upgrade: ws\r\n"
        "\r\n"
        "abcdefgh", 92), true, 0},
    {"connection: Setting a flag and pausing", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: upgrade\r\n"
        "Upgrade: ws\r\n"
        "\r\n", 64), false, 1},
    {"connection: Emitting part of body and pausing", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: upgrade\r\n"
        "Content-Length: 4\r\n"
        "Upgrade: ws\r\n"
        "\r\n"
        "abcdefgh", 91), false, 1},
    {"connection: Upgrade GET request", std::string(
        "GET /demo HTTP/1.1\r\n"
        "Host: example.com\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
        "Sec-WebSocket-Protocol: sample\r\n"
        "Upgrade: WebSocket\r\n"
        "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n"
        "Origin: http://example.com\r\n"
        "\r\n"
        "Hot diggity dogg", 240), false, 1},
    {"connection: Upgrade POST request", std::string(
        "POST /demo HTTP/1.1\r\n"
        "Host: example.com\r\n"
        "Connection: Upgrade\r\n"
        "Upgrade: HTTP/2.0\r\n"
        "Content-Length: 15\r\n"
        "\r\n"
        "sweet post bodyHot diggity dogg", 133), false, 1},
    {"content-length: Content-Length with zeroes", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 003\r\n"
        "\r\n"
        "abc", 54), false, 1},
    {"content-length: Content-Length with follow-up headers", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 003\r\n"
        "Ohai: world\r\n"
        "\r\n"
        "abc", 67), false, 1},
    {"content-length: Error on Content-Length overflow", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 1000000000000000000000\r\n", 68), true, 0},
    {"content-length: Error on duplicate Content-Length", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 1\r\n"
        "Content-Length: 2\r\n", 66), true, 0},
    {"content-length: Error on simultaneous Content-Length and Transfer-Encoding: identity", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 1\r\n"
        "Transfer-Encoding: identity\r\n"
        "\r\n", 78), true, 0},
    {"content-length: Invalid whitespace token with Content-Length header field", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: upgrade\r\n"
        "Content-Length : 4\r\n"
        "Upgrade: ws\r\n"
        "\r\n"
        "abcdefgh", 92), true, 0},
    {"content-length: Funky Content-Length with body", std::string(
        "GET /get_funky_content_length_body_hello HTTP/1.0\r\n"
        "conTENT-Length: 5\r\n"
        "\r\n"
        "HELLO", 77), false, 1},
    {"content-length: Spaces in Content-Length (surrounding)", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length:  42 \r\n"
        "\r\n", 50), false, 0},
    {"content-length: Tabs in Content-Length (surrounding)", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length:\t42\t  \r\n"
        "\r\n", 51), false, 0},
    {"content-length: Spaces in Content-Length #2", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 4 2\r\n"
        "\r\n", 49), true, 0},
    {"content-length: Spaces in Content-Length #3", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 13 37\r\n"
        "\r\n", 51), true, 0},
    {"content-length: Empty Content-Length", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length:\r\n"
        "\r\n", 45), true, 0},
    {"content-length: Content-Length with CR instead of dash", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content\rLength: 003\r\n"
        "\r\n"
        "abc", 54), true, 0},
    {"content-length: Content-Length reset when no body is received", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 123\r\n"
        "\r\n"
        "POST /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 456\r\n"
        "\r\n", 103), false, 2},
    {"content-length: Missing CRLF-CRLF before body", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 3\r\n"
        "\rabc", 51), true, 0},
    {"invalid: ICE protocol and GET method", std::string(
        "GET /music/sweet/music ICE/1.0\r\n"
        "Host: example.com\r\n"
        "\r\n", 53), true, 0},
    {"invalid: ICE protocol, but not really", std::string(
        "GET /music/sweet/music IHTTP/1.0\r\n"
        "Host: example.com\r\n"
        "\r\n", 55), true, 0},
    {"invalid: RTSP protocol and PUT method", std::string(
        "PUT /music/sweet/music RTSP/1.0\r\n"
        "Host: example.com\r\n"
        "\r\n", 54), true, 0},
    {"invalid: HTTP protocol and ANNOUNCE method", std::string(
        "ANNOUNCE /music/sweet/music HTTP/1.0\r\n"
        "Host: example.com\r\n"
        "\r\n", 59), true, 0},
    {"invalid: Headers separated by CR", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Foo: 1\rBar: 2\r\n"
        "\r\n", 42), true, 0},
    {"invalid: Headers separated by LF", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: localhost:5000\r\n"
        "x:x\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "1\r\n"
        "A\r\n"
        "0\r\n", 82), true, 0},
    {"invalid: Headers separated by dummy characters", std::string(
        "GET / HTTP/1.1\r\n"
        "Connection: close\r\n"
        "Host: a\r\n"
        "\rZGET /evil: HTTP/1.1\r\n"
        "Host: a\r\n", 76), true, 0},
    {"invalid: Empty headers separated by CR", std::string(
        "POST / HTTP/1.1\r\n"
        "Connection: Close\r\n"
        "Host: localhost:5000\r\n"
        "x:\rTransfer-Encoding: chunked\r\n"
        "\r\n"
        "1\r\n"
        "A\r\n"
        "0\r\n", 100), true, 0},
    {"invalid: Empty headers separated by LF", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: localhost:5000\r\n"
        "x:\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "1\r\n"
        "A\r\n"
        "0\r\n", 81), true, 0},
    {"invalid: Invalid header token #1", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Fo@: Failure\r\n"
        "\r\n", 41), true, 0},
    {"invalid: Invalid header token #2", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Foo\\01\test: Bar\r\n"
        "\r\n", 44), true, 0},
    {"invalid: Invalid header token #3", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        ": Bar\r\n"
        "\r\n", 34), true, 0},
    {"invalid: Invalid method", std::string(
        "MKCOLA / HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 30), true, 0},
    {"invalid: Illegal header field name line folding", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "name\r\n"
        " : value\r\n"
        "\r\n", 43), true, 0},
    {"invalid: Corrupted Connection header", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: www.example.com\r\n"
        "Connection\r\\033\\065\\325eep-Alive\r\n"
        "Accept-Encoding: gzip\r\n"
        "\r\n", 98), true, 0},
    {"invalid: Corrupted header name", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: www.example.com\r\n"
        "X-Some-Header\r\\033\\065\\325eep-Alive\r\n"
        "Accept-Encoding: gzip\r\n"
        "\r\n", 101), true, 0},
    {"invalid: Missing CR between headers", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Dummy: x\n"
        "Content-Length: 23\r\n"
        "\r\n"
        "GET / HTTP/1.1\r\n"
        "Dummy: GET /admin HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "\r\n", 127), true, 0},
    {"invalid: Invalid HTTP version", std::string(
        "GET / HTTP/5.6", 14), true, 0},
    {"invalid: Invalid space after start line", std::string(
        "GET / HTTP/1.1\r\n"
        " Host: foo", 26), true, 0},
    {"invalid: Only LFs present", std::string(
        "POST / HTTP/1.1\n"
        "Transfer-Encoding: chunked\n"
        "Trailer: Baz\r\n"
        "Foo: abc\n"
        "Bar: def\n"
        "\n"
        "1\n"
        "A\n"
        "1;abc\n"
        "B\n"
        "1;def=ghi\n"
        "C\n"
        "1;jkl=\"mno\"\n"
        "D\n"
        "0\n"
        "\n"
        "Baz: ghi\n"
        "\n"
        "\\", 128), true, 0},
    {"invalid: Spaces before headers", std::string(
        "POST /hello HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Foo: bar\r\n"
        " Content-Length: 38\r\n"
        "\r\n"
        "GET /bye HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "\r\n", 110), true, 0},
    {"lenient-header-value-relaxed: Control char in header value (strict)", std::string(
        "GET /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Header1: hello\014world\r\n"
        "\r\n", 52), true, 0},
    {"lenient-headers: Header value", std::string(
        "GET /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Header1: \014\r\n"
        "\r\n"
        "\r\n", 44), true, 0},
    {"method: REPORT request", std::string(
        "REPORT /test HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 34), false, 1},
    {"method: CONNECT request", std::string(
        "CONNECT 0-home0.netscape.com:443 HTTP/1.0\r\n"
        "User-agent: Mozilla/1.1N\r\n"
        "Proxy-authorization: basic aGVsbG86d29ybGQ=\r\n"
        "\r\n"
        "some data\r\n"
        "and yet even more data", 149), false, 1},
    {"method: CONNECT request with CAPS", std::string(
        "CONNECT HOME0.NETSCAPE.COM:443 HTTP/1.0\r\n"
        "User-agent: Mozilla/1.1N\r\n"
        "Proxy-authorization: basic aGVsbG86d29ybGQ=\r\n"
        "\r\n", 114), false, 1},
    {"method: CONNECT with body", std::string(
        "CONNECT foo.bar.com:443 HTTP/1.0\r\n"
        "User-agent: Mozilla/1.1N\r\n"
        "Proxy-authorization: basic aGVsbG86d29ybGQ=\r\n"
        "Content-Length: 10\r\n"
        "\r\n"
        "blarfcicle\"", 138), false, 1},
    {"method: M-SEARCH request", std::string(
        "M-SEARCH * HTTP/1.1\r\n"
        "HOST: 239.255.255.250:1900\r\n"
        "MAN: \"ssdp:discover\"\r\n"
        "ST: \"ssdp:all\"\r\n"
        "\r\n", 89), false, 1},
    {"method: PATCH request", std::string(
        "PATCH /file.txt HTTP/1.1\r\n"
        "Host: www.example.com\r\n"
        "Content-Type: application/example\r\n"
        "If-Match: \"e0023aa4e\"\r\n"
        "Content-Length: 10\r\n"
        "\r\n"
        "cccccccccc", 139), false, 1},
    {"method: PURGE request", std::string(
        "PURGE /file.txt HTTP/1.1\r\n"
        "Host: www.example.com\r\n"
        "\r\n", 51), false, 1},
    {"method: SEARCH request", std::string(
        "SEARCH / HTTP/1.1\r\n"
        "Host: www.example.com\r\n"
        "\r\n", 44), false, 1},
    {"method: LINK request", std::string(
        "LINK /images/my_dog.jpg HTTP/1.1\r\n"
        "Host: example.com\r\n"
        "Link: <http://example.com/profiles/joe>; rel=\"tag\"\r\n"
        "Link: <http://example.com/profiles/sally>; rel=\"tag\"\r\n"
        "\r\n", 161), false, 1},
    {"method: LINK request", std::string(
        "UNLINK /images/my_dog.jpg HTTP/1.1\r\n"
        "Host: example.com\r\n"
        "Link: <http://example.com/profiles/sally>; rel=\"tag\"\r\n"
        "\r\n", 111), false, 1},
    {"method: SOURCE request", std::string(
        "SOURCE /music/sweet/music HTTP/1.1\r\n"
        "Host: example.com\r\n"
        "\r\n", 57), false, 1},
    {"method: SOURCE request with ICE", std::string(
        "SOURCE /music/sweet/music ICE/1.0\r\n"
        "Host: example.com\r\n"
        "\r\n", 56), false, 1},
    {"method: OPTIONS request with RTSP", std::string(
        "OPTIONS /music/sweet/music RTSP/1.0\r\n"
        "Host: example.com\r\n"
        "\r\n", 58), false, 1},
    {"method: ANNOUNCE request with RTSP", std::string(
        "ANNOUNCE /music/sweet/music RTSP/1.0\r\n"
        "Host: example.com\r\n"
        "\r\n", 59), false, 1},
    {"method: PRI request HTTP2", std::string(
        "PRI * HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n"
        "SM\r\n"
        "\r\n", 33), false, 0},
    {"method: QUERY request", std::string(
        "QUERY /contacts HTTP/1.1\r\n"
        "Host: example.org\r\n"
        "Content-Type: example/query\r\n"
        "Accept: text/csv\r\n"
        "Content-Length: 41\r\n"
        "\r\n"
        "select surname, givenname, email limit 10", 155), false, 1},
    {"pausing: on_message_begin", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 3\r\n"
        "\r\n"
        "abc", 50), false, 1},
    {"pausing: on_chunk_header", std::string(
        "PUT / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "a\r\n"
        "0123456789\r\n"
        "0\r\n"
        "\r\n", 75), false, 1},
    {"pausing: on_chunk_extension_name", std::string(
        "PUT / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "a;foo=bar\r\n"
        "0123456789\r\n"
        "0\r\n"
        "\r\n", 83), false, 1},
    {"pipelining: Should parse multiple events", std::string(
        "POST /aaa HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 3\r\n"
        "\r\n"
        "AAA\r\n"
        "PUT /bbb HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 4\r\n"
        "\r\n"
        "BBBB\r\n"
        "PATCH /ccc HTTP/1.1\r\n"
        "Host: a\r\n"
        "Content-Length: 5\r\n"
        "\r\n"
        "CCCC", 165), false, 2},
    {"sample: Simple request", std::string(
        "OPTIONS /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Header1: Value1\r\n"
        "Header2:\t Value2\r\n"
        "\r\n", 69), false, 1},
    {"sample: Request with method starting with H", std::string(
        "HEAD /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 31), false, 1},
    {"sample: curl GET", std::string(
        "GET /test HTTP/1.1\r\n"
        "User-Agent: curl/7.18.0 (i486-pc-linux-gnu) libcurl/7.18.0 OpenSSL/0.9.8g zlib/1.2.3.3 libidn/1.1\r\n"
        "Host: 0.0.0.0=5000\r\n"
        "Accept: */*\r\n"
        "\r\n", 154), false, 1},
    {"sample: Firefox GET", std::string(
        "GET /favicon.ico HTTP/1.1\r\n"
        "Host: 0.0.0.0=5000\r\n"
        "User-Agent: Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.9) Gecko/2008061015 Firefox/3.0\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        "Accept-Language: en-us,en;q=0.5\r\n"
        "Accept-Encoding: gzip,deflate\r\n"
        "Accept-Charset: ISO-8859-1,utf-8;q=0.7,*;q=0.7\r\n"
        "Keep-Alive: 300\r\n"
        "Connection: keep-alive\r\n"
        "\r\n", 365), false, 1},
    {"sample: DUMBPACK", std::string(
        "GET /dumbpack HTTP/1.1\r\n"
        "Host: a\r\n"
        "aaaaaaaaaaaaa:++++++++++\r\n"
        "\r\n", 61), false, 1},
    {"sample: No headers and no body", std::string(
        "GET /get_no_headers_no_body/world HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 55), false, 1},
    {"sample: One header and no body", std::string(
        "GET /get_one_header_no_body HTTP/1.1\r\n"
        "Host: a\r\n"
        "Accept: */*\r\n"
        "\r\n", 62), false, 1},
    {"sample: Apache bench GET", std::string(
        "GET /test HTTP/1.0\r\n"
        "Host: 0.0.0.0:5000\r\n"
        "User-Agent: ApacheBench/2.3\r\n"
        "Accept: */*\r\n"
        "\r\n", 84), false, 1},
    {"sample: Prefix newline", std::string(
        "\r\n"
        "GET /test HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 33), false, 1},
    {"sample: No HTTP version", std::string(
        "GET /\r\n"
        "\r\n", 9), false, 1},
    {"sample: Line folding in header value with LF", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Line1:   abc\n"
        "\tdef\n"
        " ghi\n"
        "\t\tjkl\n"
        "  mno \n"
        "\t \tqrs\n"
        "Line2: \t line2\t\n"
        "Line3:\n"
        " line3\n"
        "Line4: \n"
        " \n"
        "Connection:\n"
        " close\n"
        "\n", 128), true, 0},
    {"sample: No LF after CR", std::string(
        "GET / HTTP/1.1\rLine: 1\r\n", 24), true, 0},
    {"sample: Request starting with CRLF", std::string(
        "\r\n"
        "GET /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Header1: Value1\r\n"
        "\r\n", 49), false, 1},
    {"sample: Extended Characters", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Test: D\374sseldorf\r\n"
        "\r\n", 45), false, 1},
    {"sample: 255 ASCII in header value", std::string(
        "OPTIONS /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Header1: Value1\r\n"
        "Header2: \377Value2\r\n"
        "\r\n", 69), false, 1},
    {"transfer-encoding: Parsing and setting flag", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n", 58), false, 0},
    {"transfer-encoding: Parse chunks with lowercase size", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "a\r\n"
        "0123456789\r\n"
        "0\r\n"
        "\r\n", 78), false, 1},
    {"transfer-encoding: Parse chunks with uppercase size", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "A\r\n"
        "0123456789\r\n"
        "0\r\n"
        "\r\n", 78), false, 1},
    {"transfer-encoding: POST with Transfer-Encoding: chunked", std::string(
        "POST /post_chunked_all_your_base HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "1e\r\n"
        "all your base are belong to us\r\n"
        "0\r\n"
        "\r\n", 123), false, 1},
    {"transfer-encoding: Two chunks and triple zero prefixed end chunk", std::string(
        "POST /two_chunks_mult_zero_end HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "5\r\n"
        "hello\r\n"
        "6\r\n"
        " world\r\n"
        "000\r\n"
        "\r\n", 108), false, 1},
    {"transfer-encoding: Trailing headers", std::string(
        "POST /chunked_w_trailing_headers HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "5\r\n"
        "hello\r\n"
        "6\r\n"
        " world\r\n"
        "0\r\n"
        "Vary: *\r\n"
        "Content-Type: text/plain\r\n"
        "\r\n", 143), false, 1},
    {"transfer-encoding: Chunk extensions", std::string(
        "POST /chunked_w_unicorns_after_length HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "5;ilovew3;somuchlove=aretheseparametersfor;another=withvalue\r\n"
        "hello\r\n"
        "6;blahblah;blah\r\n"
        " world\r\n"
        "0\r\n", 184), false, 0},
    {"transfer-encoding: No semicolon before chunk extensions", std::string(
        "POST /chunked_w_unicorns_after_length HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Transfer-encoding: chunked\r\n"
        "\r\n"
        "2 erfrferferf\r\n"
        "aa\r\n"
        "0 rrrr\r\n"
        "\r\n", 124), true, 0},
    {"transfer-encoding: No extension after semicolon", std::string(
        "POST /chunked_w_unicorns_after_length HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Transfer-encoding: chunked\r\n"
        "\r\n"
        "2;\r\n"
        "aa\r\n"
        "0\r\n"
        "\r\n", 108), true, 0},
    {"transfer-encoding: Chunk extensions quoting", std::string(
        "POST /chunked_w_unicorns_after_length HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "5;ilovew3=\"I \\\"love\\\"; \\\\extensions\\\\\";somuchlove=\"aretheseparametersfor\";blah;foo=bar\r\n"
        "hello\r\n"
        "6;blahblah;blah\r\n"
        " world\r\n"
        "0\r\n", 210), false, 0},
    {"transfer-encoding: Unbalanced chunk extensions quoting", std::string(
        "POST /chunked_w_unicorns_after_length HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "5;ilovew3=\"abc\";somuchlove=\"def; ghi\r\n"
        "hello\r\n"
        "6;blahblah;blah\r\n"
        " world\r\n"
        "0\r\n", 160), true, 0},
    {"transfer-encoding: Ignoring pigeons", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: pigeons\r\n"
        "\r\n", 58), true, 0},
    {"transfer-encoding: POST with Transfer-Encoding and Content-Length", std::string(
        "POST /post_identity_body_world?q=search#hey HTTP/1.1\r\n"
        "Host: a\r\n"
        "Accept: */*\r\n"
        "Transfer-Encoding: identity\r\n"
        "Content-Length: 5\r\n"
        "\r\n"
        "World", 131), true, 0},
    {"transfer-encoding: POST with empty Transfer-Encoding and Content-Length (lenient)", std::string(
        "POST / HTTP/1.1\r\n"
        "Host: foo\r\n"
        "Content-Length: 10\r\n"
        "Transfer-Encoding:\r\n"
        "Transfer-Encoding:\r\n"
        "Transfer-Encoding:\r\n"
        "\r\n"
        "2\r\n"
        "AA\r\n"
        "0", 118), true, 0},
    {"transfer-encoding: POST with chunked before other transfer coding names", std::string(
        "POST /post_identity_body_world?q=search#hey HTTP/1.1\r\n"
        "Host: a\r\n"
        "Accept: */*\r\n"
        "Transfer-Encoding: chunked, deflate\r\n"
        "\r\n"
        "World", 120), true, 0},
    {"transfer-encoding: POST with chunked and duplicate transfer-encoding", std::string(
        "POST /post_identity_body_world?q=search#hey HTTP/1.1\r\n"
        "Host: a\r\n"
        "Accept: */*\r\n"
        "Transfer-Encoding: chunked\r\n"
        "Transfer-Encoding: deflate\r\n"
        "\r\n"
        "World", 139), true, 0},
    {"transfer-encoding: POST with chunked as last transfer-encoding", std::string(
        "POST /post_identity_body_world?q=search#hey HTTP/1.1\r\n"
        "Host: a\r\n"
        "Accept: */*\r\n"
        "Transfer-Encoding: deflate, chunked\r\n"
        "\r\n"
        "5\r\n"
        "World\r\n"
        "0\r\n"
        "\r\n", 130), false, 1},
    {"transfer-encoding: POST with chunked as last transfer-encoding (multiple headers)", std::string(
        "POST /post_identity_body_world?q=search#hey HTTP/1.1\r\n"
        "Host: a\r\n"
        "Accept: */*\r\n"
        "Transfer-Encoding: deflate\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "5\r\n"
        "World\r\n"
        "0\r\n"
        "\r\n", 149), false, 1},
    {"transfer-encoding: POST with chunkedchunked as transfer-encoding", std::string(
        "POST /post_identity_body_world?q=search#hey HTTP/1.1\r\n"
        "Host: a\r\n"
        "Accept: */*\r\n"
        "Transfer-Encoding: chunkedchunked\r\n"
        "\r\n"
        "5\r\n"
        "World\r\n"
        "0\r\n"
        "\r\n", 128), true, 0},
    {"transfer-encoding: Missing last-chunk", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "3\r\n"
        "foo\r\n"
        "\r\n", 68), true, 0},
    {"transfer-encoding: Validate chunk parameters", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "3 \n"
        "  \r\n"
        "foo\r\n"
        "\r\n", 72), true, 0},
    {"transfer-encoding: Chunk header not terminated by CRLF", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: close \r\n"
        "Transfer-Encoding: chunked \r\n"
        "\r\n"
        "5\r\r;ABCD\r\n"
        "34\r\n"
        "E\r\n"
        "0\r\n"
        "\r\n"
        "GET / HTTP/1.1 \r\n"
        "Host: a\r\n"
        "Content-Length: 5\r\n"
        "\r\n"
        "0\r\n", 148), true, 0},
    {"transfer-encoding: Chunk data not terminated by CRLF", std::string(
        "GET / HTTP/1.1\r\n"
        "Host: a\r\n"
        "Connection: close \r\n"
        "Transfer-Encoding: chunked \r\n"
        "\r\n"
        "5\r\n"
        "ABCDE0\r\n", 87), true, 0},
    {"transfer-encoding: Space after chunk header", std::string(
        "PUT /url HTTP/1.1\r\n"
        "Host: a\r\n"
        "Transfer-Encoding: chunked\r\n"
        "\r\n"
        "a \r\n"
        "0123456789\r\n"
        "0\r\n"
        "\r\n", 79), true, 0},
    {"uri: Quotes in URI", std::string(
        "GET /with_\"lovely\"_quotes?foo=\\\"bar\\\" HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 59), false, 1},
    {"uri: Query URL with question mark", std::string(
        "GET /test.cgi?foo=bar?baz HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 47), false, 1},
    {"uri: Host terminated by a query string", std::string(
        "GET http://hypnotoad.org?hail=all HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n"
        "\r\n", 57), false, 1},
    {"uri: host:port terminated by a query string", std::string(
        "GET http://hypnotoad.org:1234?hail=all HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 60), false, 1},
    {"uri: Query URL with vertical bar character", std::string(
        "GET /test.cgi?query=| HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 43), false, 1},
    {"uri: host:port terminated by a space", std::string(
        "GET http://hypnotoad.org:1234 HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 51), false, 1},
    {"uri: Disallow UTF-8 in URI path in strict mode", std::string(
        "GET /?\266/?t/pope?q=1#narf HTTP/1.1\r\n"
        "Host: github.com\r\n"
        "\r\n", 55), true, 0},
    {"uri: Fragment in URI", std::string(
        "GET /forums/1/topics/2375?page=1#posts-17408 HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 66), false, 1},
    {"uri: Underscore in hostname", std::string(
        "CONNECT home_0.netscape.com:443 HTTP/1.0\r\n"
        "User-agent: Mozilla/1.1N\r\n"
        "Proxy-authorization: basic aGVsbG86d29ybGQ=\r\n"
        "\r\n", 115), false, 1},
    {"uri: host:port and basic auth", std::string(
        "GET http://a%12:b!&*$@hypnotoad.org:1234/toto HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 67), false, 1},
    {"uri: Space in URI", std::string(
        "GET /foo bar/ HTTP/1.1\r\n"
        "Host: a\r\n"
        "\r\n", 35), true, 0},
};
// clang-format on
