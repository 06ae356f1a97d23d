// SPDX-License-Identifier: Apache-2.0
// In place of http2.cc and http2_stream.cc where the build leaves HTTP/2 out.
#include "base/check.h"
#include "http/http2.h"

namespace fanhorn::http {

bool Http2Session::is_built() {
    return false;
}

Http2Session::Http2Session(Handler& handler, const Http2Limits& limits)
    : handler_(handler), limits_(limits) {
    CHECK(false); // nobody is to make one
}
Http2Session::~Http2Session() = default;
void Http2Session::receive(std::string_view, Millis) {}
std::string_view Http2Session::output() {
    return {};
}
void Http2Session::sent(size_t) {}
void Http2Session::tell_writable() {}
void Http2Session::shut_down(bool) {}
bool Http2Session::is_over() const {
    return true;
}
Http2Session::Excess Http2Session::take_excess() {
    return Excess::None;
}
void Http2Session::abandon() {}

size_t Http2Stream::read(std::span<char>) {
    return 0;
}
ssize_t Http2Stream::write(const iovec*, int) {
    return 0;
}
bool Http2Stream::end() {
    return true;
}
void Http2Stream::leave() {}

} // namespace fanhorn::http
