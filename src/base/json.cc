// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include "base/check.h"
#include "base/text.h"
#include "base/utf8.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace fanhorn {
namespace {

constexpr uint64_t kEachByte = 0x0101010101010101u;

// Not zero when a byte of the word is below `limit`, at most 0x80.
constexpr uint64_t has_below(uint64_t word, uint8_t limit) {
    return (word - kEachByte * limit) & ~word & (kEachByte * 0x80);
}

// What stands in a string as itself (RFC 8259 section 7).
bool is_plain(char byte) {
    return static_cast<uint8_t>(byte) >= 0x20 && byte != '"' && byte != '\\';
}

const char* skip_plain(const char* at, const char* end) {
    for (uint64_t word; static_cast<size_t>(end - at) >= sizeof word; at += sizeof word) {
        std::memcpy(&word, at, sizeof word);
        if (has_below(word, 0x20) | has_below(word ^ (kEachByte * '"'), 1) |
            has_below(word ^ (kEachByte * '\\'), 1))
            break;
    }
    while (at != end && is_plain(*at))
        ++at;
    return at;
}

uint32_t code_unit(const char* digits) {
    uint32_t unit = 0;
    for (size_t i = 0; i < 4; ++i)
        unit = unit << 4 | static_cast<uint32_t>(hex_value(digits[i]));
    return unit;
}

bool is_surrogate(uint32_t unit) {
    return unit >= 0xD800 && unit < 0xE000;
}
bool is_low_surrogate(uint32_t unit) {
    return unit >= 0xDC00 && unit < 0xE000;
}

// Whether it is not beyond the largest; what is too small to tell from zero is.
bool is_double(std::string_view number) {
    constexpr size_t kSmall = std::numeric_limits<double>::max_exponent10; // digits of any value
    if (number.size() <= kSmall && number.find_first_of("eE") == number.npos)
        return true;
    return std::isfinite(std::strtod(std::string(number).c_str(), nullptr));
}

class Scanner {
  public:
    Scanner(std::string_view text, size_t max_depth, std::vector<JsonPart>* parts,
            JsonNumbers numbers)
        : at_(text.data()), end_(at_ + text.size()), max_depth_(max_depth), parts_(parts),
          numbers_(numbers) {}

    // Puts every value there, too.
    void collect(std::vector<JsonNode>& nodes, uint32_t max_nodes) {
        nodes_ = &nodes;
        max_nodes_ = max_nodes;
    }
    bool run();

  private:
    // Where the scanner stands: before a value, behind one, behind the outermost.
    enum class Place : uint8_t { Before, Behind, Done, Fault };
    Place take_value();
    Place leave_value();
    bool begin_node();
    void end_node();

    bool take_name();
    bool take_closing();
    bool take_scalar();
    bool take_number();
    bool take_number_text();
    bool take_digits();
    bool take_string();
    bool take_escape();
    bool take_code_unit(uint32_t& unit);
    bool take_word(std::string_view word);

    bool is_at(char byte) const { return at_ != end_ && *at_ == byte; }
    bool take(char byte) {
        if (!is_at(byte))
            return false;
        ++at_;
        return true;
    }
    void skip_blanks() {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t'))
            ++at_;
    }

    const char* at_;
    const char* const end_;
    const size_t max_depth_;
    std::vector<JsonPart>* const parts_;
    const JsonNumbers numbers_;
    std::string closing_; // the bracket of each object and array around this place
    // Of the outermost's part; the name of every member where nodes are collected.
    std::string_view name_;
    const char* value_ = nullptr;

    std::vector<JsonNode>* nodes_ = nullptr;
    uint32_t max_nodes_ = 0;
    uint32_t open_ = 0; // the innermost that has not ended; its `next` is the one around it
};

bool Scanner::run() {
    skip_blanks();
    Place place = Place::Before;
    while (place < Place::Done)
        place = place == Place::Before ? take_value() : leave_value();
    return place == Place::Done;
}

Scanner::Place Scanner::take_value() {
    if (closing_.size() == 1)
        value_ = at_;
    if (nodes_ && !begin_node())
        return Place::Fault;
    if (!is_at('{') && !is_at('['))
        return take_scalar() ? Place::Behind : Place::Fault;
    if (closing_.size() == max_depth_)
        return Place::Fault;
    closing_ += *at_++ == '{' ? '}' : ']';
    skip_blanks();
    if (take_closing())
        return Place::Behind;
    return take_name() ? Place::Before : Place::Fault;
}

Scanner::Place Scanner::leave_value() {
    if (nodes_)
        end_node();
    if (parts_ && closing_.size() == 1)
        parts_->push_back({name_, {value_, static_cast<size_t>(at_ - value_)}});
    skip_blanks();
    if (closing_.empty())
        return at_ == end_ ? Place::Done : Place::Fault;
    if (take(',')) {
        skip_blanks();
        return take_name() ? Place::Before : Place::Fault;
    }
    return take_closing() ? Place::Behind : Place::Fault;
}

bool Scanner::begin_node() {
    if (nodes_->size() == max_nodes_)
        return false;
    const bool is_member = !closing_.empty() && closing_.back() == '}';
    nodes_->push_back({is_member ? name_ : "", {at_, at_}, open_});
    open_ = static_cast<uint32_t>(nodes_->size() - 1);
    return true;
}

void Scanner::end_node() {
    JsonNode& node = (*nodes_)[open_];
    node.value = {node.value.data(), static_cast<size_t>(at_ - node.value.data())};
    open_ = node.next;
    node.next = static_cast<uint32_t>(nodes_->size());
}

// Of a member, with its colon; an array's elements have none.
bool Scanner::take_name() {
    if (closing_.back() == ']')
        return true;
    const char* const from = at_;
    if (!take('"') || !take_string())
        return false;
    if (closing_.size() == 1 || nodes_)
        name_ = {from, static_cast<size_t>(at_ - from)};
    skip_blanks();
    if (!take(':'))
        return false;
    skip_blanks();
    return true;
}

bool Scanner::take_closing() {
    if (!take(closing_.back()))
        return false;
    closing_.pop_back();
    return true;
}

bool Scanner::take_scalar() {
    if (at_ == end_)
        return false;
    switch (*at_) {
    case '"':
        ++at_;
        return take_string();
    case 't':
        return take_word("true");
    case 'f':
        return take_word("false");
    case 'n':
        return take_word("null");
    default:
        return take_number();
    }
}

bool Scanner::take_number() {
    const char* const from = at_;
    if (!take_number_text())
        return false;
    const std::string_view number(from, static_cast<size_t>(at_ - from));
    return numbers_ == JsonNumbers::Any || is_double(number);
}

// RFC 8259 section 6.
bool Scanner::take_number_text() {
    take('-');
    if (!take('0') && !take_digits())
        return false;
    if (take('.') && !take_digits())
        return false;
    if (!take('e') && !take('E'))
        return true;
    if (!take('+'))
        take('-');
    return take_digits();
}

bool Scanner::take_digits() {
    const char* const from = at_;
    while (at_ != end_ && is_digit(*at_))
        ++at_;
    return at_ != from;
}

// Behind the first quote.
bool Scanner::take_string() {
    while (true) {
        at_ = skip_plain(at_, end_);
        if (take('"'))
            return true;
        if (!take('\\') || !take_escape())
            return false;
    }
}

bool Scanner::take_escape() {
    if (at_ == end_)
        return false;
    const char kind = *at_++;
    if (kind != 'u')
        return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
    uint32_t unit = 0;
    if (!take_code_unit(unit))
        return false;
    if (!is_surrogate(unit))
        return true;
    return !is_low_surrogate(unit) && take('\\') && take('u') && take_code_unit(unit) &&
           is_low_surrogate(unit);
}

bool Scanner::take_code_unit(uint32_t& unit) {
    if (end_ - at_ < 4)
        return false;
    for (size_t i = 0; i < 4; ++i)
        if (hex_value(at_[i]) < 0)
            return false;
    unit = code_unit(at_);
    at_ += 4;
    return true;
}

bool Scanner::take_word(std::string_view word) {
    if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(word))
        return false;
    at_ += word.size();
    return true;
}

void append_utf8(std::string& out, uint32_t point) {
    const auto append = [&](uint32_t byte) { out += static_cast<char>(byte); };
    const auto append_rest = [&](int shift) { append(0x80 | (point >> shift & 0x3F)); };
    if (point < 0x80)
        return append(point);
    if (point < 0x800) {
        append(0xC0 | point >> 6);
    } else if (point < 0x10000) {
        append(0xE0 | point >> 12);
        append_rest(6);
    } else {
        append(0xF0 | point >> 18);
        append_rest(12);
        append_rest(6);
    }
    append_rest(0);
}

// What an escape behind its backslash says; `rest` begins behind that escape then.
void append_escaped(std::string& out, std::string_view& rest) {
    constexpr std::string_view kLetters = "bfnrt";
    constexpr std::string_view kBytes = "\b\f\n\r\t";
    const char kind = rest.front();
    rest.remove_prefix(1);
    if (kind != 'u') {
        const size_t letter = kLetters.find(kind);
        out += letter == kLetters.npos ? kind : kBytes[letter];
        return;
    }
    uint32_t point = code_unit(rest.data());
    rest.remove_prefix(4);
    if (is_surrogate(point)) { // the other half follows: "\uXXXX"
        point = 0x10000 + ((point - 0xD800) << 10) + (code_unit(rest.data() + 2) - 0xDC00);
        rest.remove_prefix(6);
    }
    append_utf8(out, point);
}

} // namespace

std::optional<JsonKind> read_json(std::string_view text, size_t max_depth,
                                  std::vector<JsonPart>* parts, JsonNumbers numbers) {
    // Beforehand, eight bytes at a time: then a string's bytes need no look each.
    if (!is_utf8(text) || !Scanner(text, max_depth, parts, numbers).run())
        return std::nullopt;
    return json_kind(text.substr(text.find_first_not_of(" \t\r\n")));
}

bool read_json_nodes(std::string_view text, size_t max_depth, uint32_t max_nodes,
                     std::vector<JsonNode>& nodes) {
    if (!is_utf8(text))
        return false;
    Scanner scanner(text, max_depth, nullptr, JsonNumbers::Any);
    scanner.collect(nodes, max_nodes);
    return scanner.run();
}

JsonKind json_kind(std::string_view value) {
    switch (value.front()) {
    case '{':
        return JsonKind::Object;
    case '[':
        return JsonKind::Array;
    case '"':
        return JsonKind::String;
    case 't':
    case 'f':
        return JsonKind::Boolean;
    case 'n':
        return JsonKind::Null;
    default:
        return JsonKind::Number;
    }
}

std::string json_text(std::string_view string) {
    CHECK(string.size() >= 2 && string.front() == '"' && string.back() == '"');
    std::string_view rest = string.substr(1, string.size() - 2);
    std::string text;
    while (true) {
        const size_t escape = rest.find('\\');
        text += rest.substr(0, escape);
        if (escape == rest.npos)
            return text;
        rest.remove_prefix(escape + 1);
        append_escaped(text, rest);
    }
}

} // namespace fanhorn
