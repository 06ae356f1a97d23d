// SPDX-License-Identifier: Apache-2.0
// One stream of HTTP/2 as a connection of HTTP/1.1 with one request.
#include "base/check.h"
#include "http/http2.h"

#include <algorithm>
#include <nghttp2/nghttp2.h>
#include <string>

namespace fanhorn::http {

namespace {

nghttp2_nv field(std::string_view name, std::string_view value) {
    const auto bytes = [](std::string_view text) {
        return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

} // namespace

// ---- the request

size_t Http2Stream::read(std::span<char> buffer) {
    const size_t size = std::min(buffer.size(), in_.size() - in_read_);
    std::copy_n(in_.data() + in_read_, size, buffer.data());
    in_read_ += size;
    if (in_read_ == in_.size()) {
        in_ = {};
        in_read_ = 0;
        consume();
    }
    return size;
}

void Http2Stream::consume() {
    if (unconsumed_ == 0)
        return;
    nghttp2_session_consume_stream(session_.session_, id_, unconsumed_);
    session_.subtract_unread(std::exchange(unconsumed_, 0));
    session_.handler_.on_output();
}

void Http2Stream::take_body(std::string_view bytes) {
    unconsumed_ += bytes.size();
    session_.add_unread(bytes.size());
    if (!user_ || is_ended_) // nobody reads it any more
        return consume();
    if (request_.is_chunked())
        append_chunk(in_, bytes);
    else
        in_ += bytes;
    user_->on_input();
}

void Http2Stream::end_input() {
    is_input_whole_ = true;
    if (request_.is_chunked())
        append_chunk(in_, {});
    if (user_)
        user_->on_input();
}

// ---- the answer

ssize_t Http2Stream::write(const iovec* pieces, int count) {
    CHECK(!is_ended_);
    size_t taken = 0;
    for (int i = 0; i < count; ++i) {
        std::string_view piece(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
        const size_t of_heads = take_heads(piece);
        piece.remove_prefix(of_heads);
        const size_t room = kMaxOut - std::min(kMaxOut, out_.size() - out_sent_);
        const size_t size = std::min(room, piece.size());
        append(piece.substr(0, size));
        taken += of_heads + size;
        if (size < piece.size()) {
            is_wanting_ = true;
            break;
        }
    }
    resume();
    return static_cast<ssize_t>(taken);
}

// What of the bytes is the answer's head, or one that goes before it. A head is kept until it is
// whole, whatever its size: it is ours.
size_t Http2Stream::take_heads(std::string_view bytes) {
    if (has_head_)
        return 0;
    const size_t kept = head_.size();
    head_ += bytes;
    size_t used = 0;
    while (!has_head_) {
        const auto head = read_response_head(std::string_view(head_).substr(used));
        if (!head)
            break;
        used += head->size;
        send_head(*head);
    }
    if (!has_head_) {
        head_.erase(0, used);
        return bytes.size();
    }
    head_ = {};
    return used - kept;
}

void Http2Stream::append(std::string_view bytes) {
    if (chunks_)
        CHECK(chunks_->feed(bytes, out_).status != BodyReader::Status::Error);
    else
        out_ += bytes;
}

void Http2Stream::send_head(const ResponseHead& head) {
    const std::string status = std::to_string(head.status);
    std::vector<nghttp2_nv> fields = {field(":status", status)};
    for (const auto& [name, value] : head.fields)
        fields.push_back(field(name, value));
    has_head_ = head.is_final();
    if (head.is_chunked)
        chunks_.emplace(Framing::Chunked, 0, UINT64_MAX);
    if (!has_head_) {
        nghttp2_submit_headers(session_.session_, NGHTTP2_FLAG_NONE, id_, nullptr, fields.data(),
                               fields.size(), nullptr);
        return;
    }
    nghttp2_data_provider body{};
    body.source.ptr = this;
    body.read_callback = [](nghttp2_session*, int32_t, uint8_t* buffer, size_t length,
                            uint32_t* flags, nghttp2_data_source* source, void*) {
        return static_cast<Http2Stream*>(source->ptr)->produce(buffer, length, flags);
    };
    nghttp2_submit_response(session_.session_, id_, fields.data(), fields.size(), &body);
}

void Http2Stream::resume() {
    if (std::exchange(is_deferred_, false))
        nghttp2_session_resume_data(session_.session_, id_);
    session_.handler_.on_output();
}

ssize_t Http2Stream::produce(uint8_t* buffer, size_t length, uint32_t* flags) {
    const size_t size = std::min(length, out_.size() - out_sent_);
    std::copy_n(out_.data() + out_sent_, size, buffer);
    out_sent_ += size;
    if (out_sent_ == out_.size())
        out_ = {};
    else if (out_sent_ >= kMaxOut / 2)
        out_.erase(0, out_sent_);
    else
        return static_cast<ssize_t>(size);
    out_sent_ = 0;
    if (is_wanting_ && (out_.empty() || !is_ended_))
        session_.with_room_.push_back(id_);
    if (is_ended_ && out_.empty())
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (size > 0 || (is_ended_ && out_.empty()))
        return static_cast<ssize_t>(size);
    is_deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
}

// Of those who have ended, when all is on its way.
void Http2Stream::tell_room() {
    if (!user_ || !is_wanting_ || (is_ended_ && !is_drained()))
        return;
    is_wanting_ = false;
    user_->on_room();
}

bool Http2Stream::end() {
    is_ended_ = true;
    is_wanting_ = !is_drained();
    resume();
    return is_drained();
}

void Http2Stream::leave() {
    user_ = nullptr;
    in_ = {};
    in_read_ = 0;
    consume();
    if (is_ended_ && is_drained())
        return;
    nghttp2_submit_rst_stream(session_.session_, NGHTTP2_FLAG_NONE, id_,
                              has_head_ ? NGHTTP2_CANCEL : NGHTTP2_REFUSED_STREAM);
    session_.handler_.on_output();
}

} // namespace fanhorn::http
