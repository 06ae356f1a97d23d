// SPDX-License-Identifier: Apache-2.0
#include "base/filter.h"

#include "base/text.h"
#include "base/utf8.h"

#include <algorithm>
#include <array>
#include <optional>

namespace fanhorn {

namespace {

// In the order of Filter::Operator.
constexpr std::array<std::string_view, 6> kOperators = {"=", "!=", ">=", "<=", ">", "<"};

// Between two numbers of which neither is negative: their digits before and behind the point.
struct Digits {
    std::string_view whole, fraction; // without zeros in front, and behind
};

std::strong_ordering compare(const Digits& left, const Digits& right) {
    if (left.whole.size() != right.whole.size())
        return left.whole.size() <=> right.whole.size();
    if (left.whole != right.whole)
        return left.whole <=> right.whole;
    return left.fraction <=> right.fraction;
}

struct Number {
    bool is_negative = false; // never for a zero
    Digits digits;
};

bool is_number_text(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

std::optional<Number> parse_number(std::string_view text) {
    Number number;
    number.is_negative = text.starts_with('-');
    text.remove_prefix(number.is_negative ? 1 : 0);
    std::string_view rest = text;
    std::string_view whole = take_until(rest, '.');
    if (!is_number_text(whole) || (whole.size() < text.size() && !is_number_text(rest)))
        return std::nullopt;
    whole.remove_prefix(std::min(whole.find_first_not_of('0'), whole.size()));
    number.digits = {whole, rest.substr(0, rest.find_last_not_of('0') + 1)};
    number.is_negative = number.is_negative && !(whole.empty() && number.digits.fraction.empty());
    return number;
}

std::strong_ordering compare(const Number& left, const Number& right) {
    if (left.is_negative != right.is_negative)
        return right.is_negative <=> left.is_negative;
    return left.is_negative ? compare(right.digits, left.digits)
                            : compare(left.digits, right.digits);
}

void append_number(std::string& out, const Number& number) {
    out += number.is_negative ? "-" : "";
    out += number.digits.whole.empty() ? "0" : number.digits.whole;
    if (!number.digits.fraction.empty())
        out.append(".").append(number.digits.fraction);
}

bool has_value(std::string_view list, std::string_view value) {
    while (true) {
        const size_t end = std::min(list.find('|'), list.size());
        if (list.substr(0, end) == value)
            return true;
        if (end == list.size())
            return false;
        list.remove_prefix(end + 1);
    }
}

// Sorted, each once, with `between`.
std::string join_sorted(std::vector<std::string> items, char between) {
    std::sort(items.begin(), items.end());
    items.erase(std::unique(items.begin(), items.end()), items.end());
    std::string out;
    for (const std::string& item : items) {
        if (&item != &items.front())
            out += between;
        out += item;
    }
    return out;
}

Error not_a_filter(std::string_view why) {
    return {std::string(why) + "; a filter is terms like kind=goal, kind=goal|card, kind!=goal, "
                               "minute>=45 or odds<1.5 with commas between them"};
}

} // namespace

Result<FilterRef> Filter::parse(std::string_view text) {
    if (text.size() > kMaxBytes)
        return Error{"a filter is at most " + std::to_string(kMaxBytes) + " bytes"};
    const auto is_control = [](char byte) {
        return static_cast<uint8_t>(byte) < 0x20 || byte == 0x7f;
    };
    if (!is_utf8(text) || std::any_of(text.begin(), text.end(), is_control))
        return Error{"a filter is UTF-8 without control characters"};
    std::vector<std::string> terms;
    for (const std::string_view piece : split(text, ',')) {
        const auto term = parse_term(piece);
        if (!term)
            return Error{term.error()};
        terms.push_back(canonical(*term));
    }
    if (terms.size() > kMaxTerms)
        return Error{"a filter has at most " + std::to_string(kMaxTerms) + " terms"};
    return FilterRef(new Filter(join_sorted(std::move(terms), ',')));
}

// `text` is canonical.
Filter::Filter(std::string text) : text_(std::move(text)) {
    for (const std::string_view piece : split(text_, ','))
        terms_.push_back(parse_term(piece).value());
}

Result<Filter::Term> Filter::parse_term(std::string_view text) {
    size_t at = text.find_first_of("=<>");
    if (at == text.npos)
        return not_a_filter("'" + std::string(text) + "' has no operator");
    if (text[at] == '=' && at > 0 && text[at - 1] == '!')
        --at;
    if (at == 0)
        return not_a_filter("'" + std::string(text) + "' has no name");
    Term term{text.substr(0, at), {}, {}};
    for (size_t i = kOperators.size(); i-- > 0;) // of two that fit, the longer one comes first
        if (text.substr(at).starts_with(kOperators[i])) {
            term.op = static_cast<Operator>(i);
            term.operand = text.substr(at + kOperators[i].size());
        }
    const bool is_bound = term.op != Operator::Equal && term.op != Operator::NotEqual;
    if (is_bound && !parse_number(term.operand))
        return not_a_filter("'" + std::string(term.operand) +
                            "' is no decimal number, as 45, 1.5 or -3, to compare with");
    return term;
}

std::string Filter::canonical(const Term& term) {
    std::string out(term.name);
    out += kOperators[static_cast<size_t>(term.op)];
    if (term.op != Operator::Equal && term.op != Operator::NotEqual) {
        append_number(out, *parse_number(term.operand));
        return out;
    }
    std::vector<std::string> values;
    for (const std::string_view value : split(term.operand, '|'))
        values.emplace_back(value);
    return out + join_sorted(std::move(values), '|');
}

bool Filter::matches(std::string_view tags) const {
    return std::all_of(terms_.begin(), terms_.end(),
                       [&](const Term& term) { return term.holds(tags); });
}

bool Filter::matches(std::span<const Field> fields) const {
    return std::all_of(terms_.begin(), terms_.end(),
                       [&](const Term& term) { return term.holds(fields); });
}

bool Filter::Term::holds(std::span<const Field> fields) const {
    const bool is_there = std::any_of(fields.begin(), fields.end(), [&](const Field& field) {
        return field.name == name && holds_for(field.value);
    });
    return is_there == (op != Operator::NotEqual);
}

bool Filter::Term::holds(std::string_view tags) const {
    while (!tags.empty()) {
        const std::string_view tag = take_until(tags, ',');
        const size_t equals = tag.find('=');
        if (tag.substr(0, equals) == name && equals != tag.npos &&
            holds_for(tag.substr(equals + 1)))
            return op != Operator::NotEqual;
    }
    return op == Operator::NotEqual;
}

// NotEqual: whether it is one of those that must not be.
bool Filter::Term::holds_for(std::string_view value) const {
    if (op == Operator::Equal || op == Operator::NotEqual)
        return has_value(operand, value);
    const auto number = parse_number(value), bound = parse_number(operand);
    if (!number)
        return false;
    const auto order = compare(*number, *bound);
    switch (op) {
    case Operator::AtLeast:
        return order >= 0;
    case Operator::AtMost:
        return order <= 0;
    case Operator::Above:
        return order > 0;
    default:
        return order < 0;
    }
}

} // namespace fanhorn
