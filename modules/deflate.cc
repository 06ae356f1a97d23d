// SPDX-License-Identifier: Apache-2.0
#define ZLIB_CONST
#include "modules/deflate.h"

#include "base/check.h"

#include <algorithm>
#include <array>
#include <zlib.h>

namespace fanhorn {

namespace {

constexpr std::string_view kAnswer =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
constexpr int kRawWindowBits = -15; // negative: DEFLATE without zlib's header
constexpr int kMemoryLevel = 8;
constexpr size_t kKeptBufferBytes = 262144;
constexpr size_t kStepBytes = 16384;
constexpr std::string_view kSyncTail("\x00\x00\xff\xff", 4); // RFC 7692 section 7.2.1

// RFC 9110 section 5.6.2.
bool is_token_char(char c) {
    const bool is_alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_alphanumeric || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// RFC 7692 section 7.1.2: 8 to 15, without leading zeros; 0 is none of these.
int window_bits(std::string_view value) {
    constexpr std::array<std::string_view, 8> kValues = {"8",  "9",  "10", "11",
                                                         "12", "13", "14", "15"};
    const auto found = std::find(kValues.begin(), kValues.end(), value);
    return found == kValues.end() ? 0 : static_cast<int>(found - kValues.begin()) + 8;
}

struct Parameter {
    std::string_view name;
    bool has_value = false;
    std::string value; // unquoted
};

// One element of the header's list, judged as its parameters come.
class Offer {
  public:
    explicit Offer(std::string_view name) : accepted_(name == "permessage-deflate") {}

    void add(const Parameter& parameter) {
        const Known known = find(parameter);
        accepted_ = accepted_ && known != kNone && !(seen_ & known);
        seen_ |= known;
    }

    bool is_accepted() const { return accepted_; }

    // Who asked for a window is told it (RFC 7692 section 7.1.2.1).
    std::string answer() const {
        const bool is_window_asked = seen_ & kServerWindow;
        return std::string(kAnswer) + (is_window_asked ? "; server_max_window_bits=15" : "");
    }

  private:
    enum Known : unsigned {
        kNone = 0,
        kServerTakeover = 1,
        kClientTakeover = 2,
        kServerWindow = 4,
        kClientWindow = 8
    };

    // None for a parameter that we do not know or whose value we cannot serve.
    static Known find(const Parameter& parameter) {
        if (parameter.name == "server_no_context_takeover")
            return parameter.has_value ? kNone : kServerTakeover;
        if (parameter.name == "client_no_context_takeover")
            return parameter.has_value ? kNone : kClientTakeover;
        const int bits = window_bits(parameter.value);
        if (parameter.name == "server_max_window_bits")
            return bits == 15 ? kServerWindow : kNone;
        if (parameter.name == "client_max_window_bits")
            return bits != 0 || !parameter.has_value ? kClientWindow : kNone;
        return kNone;
    }

    bool accepted_;
    unsigned seen_ = kNone;
};

// The grammar of RFC 6455 section 9.1. A read is false where the text does not fit it.
class OfferReader {
  public:
    explicit OfferReader(std::string_view text) : rest_(text) { skip_blanks(); }

    bool at_end() const { return rest_.empty(); }

    bool take(char c) {
        if (!rest_.starts_with(c))
            return false;
        rest_.remove_prefix(1);
        skip_blanks();
        return true;
    }

    bool read_token(std::string_view& token) {
        const auto end = std::find_if_not(rest_.begin(), rest_.end(), is_token_char);
        token = rest_.substr(0, static_cast<size_t>(end - rest_.begin()));
        rest_.remove_prefix(token.size());
        skip_blanks();
        return !token.empty();
    }

    bool read_parameter(Parameter& parameter) {
        if (!read_token(parameter.name))
            return false;
        parameter.has_value = take('=');
        return !parameter.has_value || read_value(parameter.value);
    }

  private:
    void skip_blanks() {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
    }

    bool read_value(std::string& value) {
        if (rest_.starts_with('"'))
            return read_quoted(value);
        std::string_view token;
        const bool is_read = read_token(token);
        value = token;
        return is_read;
    }

    // What the quotes hold must be a token as well (RFC 6455 section 9.1).
    bool read_quoted(std::string& value) {
        for (size_t i = 1; i < rest_.size(); ++i) {
            if (rest_[i] == '"') {
                rest_.remove_prefix(i + 1);
                skip_blanks();
                return !value.empty();
            }
            i += rest_[i] == '\\';
            if (i == rest_.size() || !is_token_char(rest_[i]))
                return false;
            value.push_back(rest_[i]);
        }
        return false;
    }

    std::string_view rest_;
};

const Bytef* as_bytes(std::string_view text) {
    return reinterpret_cast<const Bytef*>(text.data());
}

// zlib counts in 32 bits. A payload is far smaller: message_size bounds it.
uInt checked_size(std::string_view payload) {
    CHECK(payload.size() <= UINT32_MAX / 2);
    return static_cast<uInt>(payload.size());
}

} // namespace

Result<std::string> choose_deflate(std::string_view offers) {
    const Error malformed{"malformed Sec-WebSocket-Extensions"};
    OfferReader reader(offers);
    std::string answer;
    while (!reader.at_end()) {
        if (reader.take(',')) // empty elements are legal (RFC 9110 section 5.6.1.2)
            continue;
        std::string_view name;
        if (!reader.read_token(name))
            return malformed;
        Offer offer(name);
        while (reader.take(';')) {
            Parameter parameter;
            if (!reader.read_parameter(parameter))
                return malformed;
            offer.add(parameter);
        }
        if (!reader.at_end() && !reader.take(','))
            return malformed;
        if (answer.empty() && offer.is_accepted())
            answer = offer.answer();
    }
    return answer;
}

void Deflater::End::operator()(z_stream_s* stream) const {
    deflateEnd(stream);
    delete stream;
}

std::string_view Deflater::compress(std::string_view payload) {
    if (payload.empty())
        return {"\x00", 1}; // RFC 7692 section 7.2.3.6
    if (!stream_) {
        stream_.reset(new z_stream_s{});
        CHECK(deflateInit2(stream_.get(), level_, Z_DEFLATED, kRawWindowBits, kMemoryLevel,
                           Z_DEFAULT_STRATEGY) == Z_OK);
    } else {
        CHECK(deflateReset(stream_.get()) == Z_OK);
    }
    if (buffer_.size() > kKeptBufferBytes) // one huge message must not pin its size for ever
        std::string().swap(buffer_);
    // deflateBound() is for Z_FINISH; the sync flush adds an empty stored block.
    const size_t bound = deflateBound(stream_.get(), checked_size(payload)) + 16;
    if (buffer_.size() < bound)
        buffer_.resize(bound);
    stream_->next_in = as_bytes(payload);
    stream_->avail_in = checked_size(payload);
    stream_->next_out = reinterpret_cast<Bytef*>(buffer_.data());
    stream_->avail_out = static_cast<uInt>(buffer_.size());
    CHECK(deflate(stream_.get(), Z_SYNC_FLUSH) == Z_OK);
    CHECK(stream_->avail_in == 0 && stream_->avail_out > 0);
    const std::string_view whole(buffer_.data(), stream_->total_out);
    CHECK(whole.ends_with(kSyncTail));
    return whole.substr(0, whole.size() - kSyncTail.size());
}

void Inflater::End::operator()(z_stream_s* stream) const {
    inflateEnd(stream);
    delete stream;
}

InflateStatus Inflater::inflate(std::string_view payload, size_t limit, std::string& out) {
    out.clear();
    if (!stream_) {
        stream_.reset(new z_stream_s{});
        CHECK(inflateInit2(stream_.get(), kRawWindowBits) == Z_OK);
    } else {
        CHECK(inflateReset(stream_.get()) == Z_OK);
    }
    InflateStatus status = run(payload, limit, out);
    // Nothing read since the last reset: a stream with BFINAL ended with the payload, no tail fits.
    if (status == InflateStatus::Ok && stream_->total_in > 0) {
        status = run(kSyncTail, limit, out);
        const bool is_at_block_boundary = stream_->data_type & 128; // zlib.h, inflate()
        if (status == InflateStatus::Ok && !is_at_block_boundary)
            status = InflateStatus::Malformed;
    }
    if (status != InflateStatus::Ok)
        out.clear();
    return status;
}

InflateStatus Inflater::run(std::string_view input, size_t limit, std::string& out) {
    std::array<char, kStepBytes> step;
    stream_->next_in = as_bytes(input);
    stream_->avail_in = checked_size(input);
    do {
        stream_->next_out = reinterpret_cast<Bytef*>(step.data());
        stream_->avail_out = kStepBytes;
        const int result = ::inflate(stream_.get(), Z_SYNC_FLUSH);
        // Z_BUF_ERROR is no progress: all input is used up.
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return InflateStatus::Malformed;
        const size_t produced = kStepBytes - stream_->avail_out;
        if (produced > limit - out.size())
            return InflateStatus::TooBig;
        out.append(step.data(), produced);
        // A block with BFINAL ends a DEFLATE stream, and another follows (section 7.2.3.5).
        if (result == Z_STREAM_END)
            CHECK(inflateReset(stream_.get()) == Z_OK);
    } while (stream_->avail_in > 0 || stream_->avail_out == 0);
    return InflateStatus::Ok;
}

uint32_t crc32_of(std::string_view bytes) {
    return static_cast<uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string_view deflate_library_version() {
    return zlibVersion();
}

} // namespace fanhorn
