// SPDX-License-Identifier: Apache-2.0
#include "http/http2.h"

#include "base/check.h"

#include <algorithm>
#include <array>
#include <nghttp2/nghttp2.h>

namespace fanhorn::http {

namespace {

constexpr double kMinute = 60'000, kSecond = 1000;

// A bucket that leaks `limit` in `period`, holds as much, and is filled by one.
bool runs_over(double& level, Millis& at, Millis now, uint32_t limit, double period) {
    const double leaked = static_cast<double>(now - at) * limit / period;
    level = std::max(0.0, level - leaked) + 1;
    at = now;
    return level > limit;
}

std::string_view text_of(const uint8_t* bytes, size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
}

} // namespace

// ---- what nghttp2 calls

struct Http2Session::Callbacks {
    static Http2Session& of(void* user) { return *static_cast<Http2Session*>(user); }

    static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* header, void* user) {
        const bool is_empty = header->length == 0 && (header->flags & NGHTTP2_FLAG_END_STREAM) == 0;
        switch (header->type) {
        case NGHTTP2_WINDOW_UPDATE:
        case NGHTTP2_HEADERS:
            break;
        case NGHTTP2_DATA:
        case NGHTTP2_CONTINUATION:
            if (is_empty)
                of(user).count_frame();
            break;
        case NGHTTP2_RST_STREAM: // of one that there is: counted when that ends
            if (!of(user).find(header->stream_id))
                of(user).count_frame();
            break;
        default: // PING, SETTINGS, PRIORITY
            of(user).count_frame();
        }
        return 0;
    }

    static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            of(user).begin_stream(frame->hd.stream_id);
        return 0;
    }

    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                         size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                         void* user) {
        Http2Stream* stream = of(user).find(frame->hd.stream_id);
        if (stream && frame->headers.cat == NGHTTP2_HCAT_REQUEST) // trailers tell us nothing
            stream->request_.add(text_of(name, name_size), text_of(value, value_size));
        return 0;
    }

    // RFC 9113 section 8.1.1; nghttp2 would leave such a field out.
    static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t,
                                 const uint8_t*, size_t, uint8_t, void*) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }

    static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
        Http2Session& session = of(user);
        Http2Stream* stream = session.find(frame->hd.stream_id);
        if (!stream)
            return 0;
        const bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            session.begin_request(*stream, !is_last);
        else if (is_last && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
            stream->end_input();
        return 0;
    }

    static int on_data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data,
                       size_t size, void* user) {
        if (Http2Stream* stream = of(user).find(id))
            stream->take_body(text_of(data, size));
        else
            nghttp2_session_consume_connection(session, size);
        return 0;
    }

    static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
        Http2Session& session = of(user);
        if (frame->hd.type == NGHTTP2_HEADERS && session.streams_.size() >= session.limits_.streams)
            session.excess_ = Excess::Streams;
        if (!session.find(frame->hd.stream_id)) // the others are counted when they end
            session.count_reset();
        return 0;
    }

    static int on_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
        if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
            of(user).fail(nghttp2_http2_strerror(frame->goaway.error_code));
        Http2Stream* stream = of(user).find(frame->hd.stream_id);
        if (!stream || frame->hd.type != NGHTTP2_DATA ||
            !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            return 0;
        stream->is_end_sent_ = true;
        // The rest of the request is of no use (RFC 9113 section 8.1).
        if (!stream->is_input_whole_)
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id_, NGHTTP2_NO_ERROR);
        return 0;
    }

    static int on_close(nghttp2_session*, int32_t id, uint32_t, void* user) {
        of(user).end_stream(id);
        return 0;
    }

    // Constant, and made once.
    static const nghttp2_session_callbacks* all() {
        static const nghttp2_session_callbacks* const kMade = [] {
            nghttp2_session_callbacks* callbacks = nullptr;
            CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
            nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
            nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
            nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
            nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
            nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks,
                                                                         on_invalid_frame);
            nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
            return callbacks;
        }();
        return kMade;
    }

    static const nghttp2_option* options() {
        static const nghttp2_option* const kMade = [] {
            nghttp2_option* option = nullptr;
            CHECK(nghttp2_option_new(&option) == 0);
            nghttp2_option_set_no_auto_window_update(option, 1); // what is read makes room
            nghttp2_option_set_no_closed_streams(option, 1);     // only priorities needed them
            return option;
        }();
        return kMade;
    }
};

// ---- the session

bool Http2Session::is_built() {
    return true;
}

Http2Session::Http2Session(Handler& handler, const Http2Limits& limits)
    : handler_(handler), limits_(limits) {
    CHECK(nghttp2_session_server_new2(&session_, Callbacks::all(), this, Callbacks::options()) ==
          0);
    const std::array<nghttp2_settings_entry, 3> settings = {{
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits_.streams},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits_.header_size)},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    }};
    CHECK(nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) ==
          0);
}

Http2Session::~Http2Session() {
    abandon();
    nghttp2_session_del(session_);
}

void Http2Session::abandon() {
    is_broken_ = is_abandoned_ = true;
    head_id_ = 0;
    for (const auto& [id, stream] : std::exchange(streams_, {}))
        if (Http2User* user = std::exchange(stream->user_, nullptr))
            user->on_gone();
}

void Http2Session::receive(std::string_view bytes, Millis now) {
    if (is_broken_)
        return;
    now_ = now;
    const ssize_t taken = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    if (taken < 0) {
        fail(nghttp2_strerror(static_cast<int>(taken)));
        nghttp2_session_terminate_session(session_, taken == NGHTTP2_ERR_FLOODED
                                                        ? NGHTTP2_ENHANCE_YOUR_CALM
                                                        : NGHTTP2_PROTOCOL_ERROR);
        is_broken_ = true;
    }
    handler_.on_output();
}

std::string_view Http2Session::output() {
    if (is_abandoned_)
        return {};
    if (output_sent_ == output_.size()) {
        output_.clear();
        output_sent_ = 0;
        while (output_.size() < kOutputBytes) {
            const uint8_t* bytes = nullptr;
            const ssize_t size = nghttp2_session_mem_send(session_, &bytes);
            if (size <= 0)
                break;
            output_.append(text_of(bytes, static_cast<size_t>(size)));
        }
    }
    if (output_.empty())
        output_ = {}; // an idle one keeps no memory for it
    return std::string_view(output_).substr(output_sent_);
}

void Http2Session::sent(size_t bytes) {
    output_sent_ += bytes;
    CHECK(output_sent_ <= output_.size());
}

void Http2Session::tell_writable() {
    for (const int32_t id : std::exchange(with_room_, {})) // some stand there twice
        if (Http2Stream* stream = find(id))
            stream->tell_room();
}

void Http2Session::shut_down(bool is_last) {
    if (is_last)
        nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                              nullptr, 0);
    else
        nghttp2_submit_shutdown_notice(session_);
    handler_.on_output();
}

bool Http2Session::is_over() const {
    return is_broken_ ||
           (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0);
}

Http2Session::Excess Http2Session::take_excess() {
    return std::exchange(excess_, Excess::None);
}

Http2Stream* Http2Session::find(int32_t id) const {
    const auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : found->second.get();
}

void Http2Session::begin_stream(int32_t id) {
    head_id_ = id;
    head_since_ = now_;
    streams_.emplace(id, std::make_unique<Http2Stream>(*this, id, limits_.header_size));
}

void Http2Session::begin_request(Http2Stream& stream, bool has_body) {
    head_id_ = 0;
    stream.is_input_whole_ = !has_body;
    stream.in_ = stream.request_.finish(has_body);
    stream.is_websocket_ = stream.request_.is_websocket();
    stream.user_ = handler_.accept(stream);
    if (stream.user_)
        return stream.user_->on_input();
    stream.is_declined_ = true;
    stream.leave();
}

void Http2Session::end_stream(int32_t id) {
    auto stream = streams_.extract(id);
    if (stream.empty())
        return;
    Http2Stream& gone = *stream.mapped();
    if (id == head_id_)
        head_id_ = 0;
    subtract_unread(std::exchange(gone.unconsumed_, 0));
    if (!gone.is_end_sent_ && !gone.is_declined_) // whatever the reason that was given
        count_reset();
    if (gone.user_)
        gone.user_->on_gone();
}

// The window of the connection is for all of its streams: one that is not read must not close it.
void Http2Session::add_unread(size_t bytes) {
    unread_ += bytes;
    if (unread_ <= kMaxUnread)
        nghttp2_session_consume_connection(session_, bytes);
    else
        owed_ += bytes;
}

void Http2Session::subtract_unread(size_t bytes) {
    unread_ -= bytes;
    if (owed_ > 0 && unread_ <= kMaxUnread)
        nghttp2_session_consume_connection(session_, std::exchange(owed_, 0));
}

void Http2Session::count_reset() {
    if (runs_over(resets_, resets_at_, now_, limits_.resets, kMinute))
        calm_down(Excess::Resets);
}

void Http2Session::count_frame() {
    if (runs_over(frames_, frames_at_, now_, limits_.frames, kSecond))
        calm_down(Excess::Frames);
}

void Http2Session::calm_down(Excess excess) {
    excess_ = excess;
    nghttp2_session_terminate_session(session_, NGHTTP2_ENHANCE_YOUR_CALM);
}

void Http2Session::fail(std::string_view why) {
    if (fault_.empty())
        fault_ = why;
}

} // namespace fanhorn::http
