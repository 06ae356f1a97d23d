// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include "base/random.h"

#include <bit>
#include <cstring>

namespace fanhorn {
namespace {

// Aumasson and Bernstein, "SipHash: a fast short-input PRF", with one round a word and three at
// the end, as Rust's and Python's tables use it.
struct Sip {
    uint64_t a, b, c, d;

    explicit Sip(SipKey key)
        : a(key.low ^ 0x736f6d6570736575u), b(key.high ^ 0x646f72616e646f6du),
          c(key.low ^ 0x6c7967656e657261u), d(key.high ^ 0x7465646279746573u) {}

    void round() {
        a += b;
        b = std::rotl(b, 13) ^ a;
        a = std::rotl(a, 32);
        c += d;
        d = std::rotl(d, 16) ^ c;
        a += d;
        d = std::rotl(d, 21) ^ a;
        c += b;
        b = std::rotl(b, 17) ^ c;
        c = std::rotl(c, 32);
    }

    void mix(uint64_t word) {
        d ^= word;
        round();
        a ^= word;
    }

    uint64_t finish() {
        c ^= 0xff;
        round();
        round();
        round();
        return a ^ b ^ c ^ d;
    }
};

// Little-endian, whatever the machine; `size` is at most 8.
uint64_t load(const char* bytes, size_t size) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, size);
    if constexpr (std::endian::native == std::endian::big)
        word = __builtin_bswap64(word);
    return word;
}

SipKey draw_key() {
    return {random_u64(), random_u64()};
}

} // namespace

uint64_t siphash13(SipKey key, std::string_view bytes) {
    Sip sip(key);
    const uint64_t length = uint64_t{bytes.size()} << 56;
    for (; bytes.size() >= 8; bytes.remove_prefix(8))
        sip.mix(load(bytes.data(), 8));
    sip.mix(length | (bytes.empty() ? 0 : load(bytes.data(), bytes.size())));
    return sip.finish();
}

uint64_t keyed_hash(std::string_view bytes) {
    static const SipKey kKey = draw_key();
    return siphash13(kKey, bytes);
}

} // namespace fanhorn
