// SPDX-License-Identifier: Apache-2.0
#include "modules/redis_reply.h"

#include "base/text.h"

#include <hiredis/hiredis.h>

namespace fanhorn {

bool RedisReply::is_error() const {
    return !reply_ || reply_->type == REDIS_REPLY_ERROR;
}

std::string_view RedisReply::text() const {
    if (!reply_ || !reply_->str ||
        (reply_->type != REDIS_REPLY_STRING && reply_->type != REDIS_REPLY_STATUS &&
         reply_->type != REDIS_REPLY_ERROR))
        return {};
    return {reply_->str, static_cast<size_t>(reply_->len)};
}

uint64_t RedisReply::number() const {
    if (reply_ && reply_->type == REDIS_REPLY_INTEGER)
        return reply_->integer < 0 ? 0 : static_cast<uint64_t>(reply_->integer);
    return parse_u64(text()).value_or(0);
}

size_t RedisReply::size() const {
    return reply_ && reply_->type == REDIS_REPLY_ARRAY ? reply_->elements : 0;
}

RedisReply RedisReply::operator[](size_t index) const {
    return RedisReply(index < size() ? reply_->element[index] : nullptr);
}

void RedisReader::Free::operator()(redisReply* reply) const {
    freeReplyObject(reply);
}

void RedisReader::Free::operator()(redisReader* reader) const {
    redisReaderFree(reader);
}

// hiredis makes room for as many as are announced.
template <typename Count> static void* make_array(const redisReadTask* task, Count count) {
    static const redisReplyObjectFunctions* const kUsual =
        std::unique_ptr<redisReader, RedisReader::Free>(redisReaderCreate())->fn;
    return count > static_cast<Count>(RedisReader::kMaxElements) ? nullptr
                                                                 : kUsual->createArray(task, count);
}

RedisReader::RedisReader() : reader_(redisReaderCreate()) {
    is_broken_ = !reader_;
    if (is_broken_)
        return;
    static redisReplyObjectFunctions bounded = [this] {
        redisReplyObjectFunctions functions = *reader_->fn;
        functions.createArray = make_array;
        return functions;
    }();
    reader_->fn = &bounded;
}

bool RedisReader::feed(std::string_view bytes) {
    held_ += bytes.size();
    if (is_broken_ || held_ > kMaxReply ||
        redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK)
        is_broken_ = true;
    return !is_broken_;
}

RedisReader::Owned RedisReader::next() {
    void* reply = nullptr;
    if (is_broken_ || redisReaderGetReply(reader_.get(), &reply) != REDIS_OK) {
        is_broken_ = true;
        return nullptr;
    }
    if (reply)
        held_ = reader_->len - reader_->pos;
    return Owned(static_cast<redisReply*>(reply));
}

void append_command(std::string& out, std::span<const std::string> words) {
    out.append("*").append(std::to_string(words.size())).append("\r\n");
    for (const std::string& word : words)
        out.append("$")
            .append(std::to_string(word.size()))
            .append("\r\n")
            .append(word)
            .append("\r\n");
}

} // namespace fanhorn
