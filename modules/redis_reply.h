// SPDX-License-Identifier: Apache-2.0
// The Redis protocol (RESP 2): commands out, replies in, by hiredis's reader.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct redisReply;
struct redisReader;

namespace fanhorn {

// A view of one reply, as long as the owner of the whole lives. What is of another type than asked
// for reads as empty: the server is not believed.
class RedisReply {
  public:
    explicit RedisReply(const redisReply* reply) : reply_(reply) {}

    bool is_error() const;
    // Of a string, a status or an error.
    std::string_view text() const;
    // Of an integer, or a string of digits; 0 otherwise.
    uint64_t number() const;
    // Of an array.
    size_t size() const;
    RedisReply operator[](size_t index) const;

  private:
    const redisReply* reply_;
};

// Bytes to replies. A broken stream stays broken.
class RedisReader {
  public:
    // A reply of so many bytes is refused; a nested or endless one is by hiredis itself.
    static constexpr size_t kMaxReply = 256 << 20;
    // And an array that says it has more than so many.
    static constexpr size_t kMaxElements = 1 << 20;

    RedisReader();
    // False: broken.
    [[nodiscard]] bool feed(std::string_view bytes);
    struct Free {
        void operator()(redisReply* reply) const;
        void operator()(redisReader* reader) const;
    };
    using Owned = std::unique_ptr<redisReply, Free>;
    // The next whole reply; null when there is none yet, or the stream is broken.
    Owned next();
    bool is_broken() const { return is_broken_; }

  private:
    std::unique_ptr<redisReader, Free> reader_;
    size_t held_ = 0; // bytes since the last whole reply
    bool is_broken_ = false;
};

void append_command(std::string& out, std::span<const std::string> words);

} // namespace fanhorn
