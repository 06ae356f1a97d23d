// SPDX-License-Identifier: Apache-2.0
#include "server/values.h"

#include "base/text.h"
#include "server/expand.h"
#include "server/ini.h"
#include "server/words.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr uint64_t kMaxPercent = 100;

struct Unit {
    const char* suffix;
    uint64_t factor;
};

// Ascending. What has no suffix stands for a plain count.
constexpr Unit kSizes[] = {{"b", 1}, {"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}};
constexpr Unit kDurations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr Unit kCounts[] = {{"", 1}, {"k", 1000}, {"m", 1'000'000}};

constexpr Unit kPeriods[] = {{"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};

std::span<const Unit> units_of(Type type) {
    return type == Type::Size || type == Type::Share ? std::span<const Unit>(kSizes)
           : type == Type::Duration                  ? std::span<const Unit>(kDurations)
                                                     : std::span<const Unit>(kCounts);
}

// "64b, 64k, 64m or 64g".
std::string with_units(std::string_view digits, std::span<const Unit> units) {
    std::string text;
    for (size_t i = 0; i < units.size(); ++i) {
        text += i == 0 ? "" : i + 1 < units.size() ? ", " : " or ";
        text += digits;
        text += units[i].suffix;
    }
    return text;
}

std::string example_of(const Row& row) {
    switch (row.type) {
    case Type::Size:
        return "is not a size, such as 64k or 1m";
    case Type::Share:
        return "is not a size or a share, such as 512m or 80%";
    case Type::Duration:
        return "is not a duration, such as 500ms, 10s or 5m";
    default:
        return std::string("is not ") + (row.word[0] ? std::string("'") + row.word + "' or " : "") +
               "a count, such as 100, 200k or 1m";
    }
}

// In the largest unit that divides it.
std::string format_number(const Row& row, uint64_t number) {
    auto units = units_of(row.type);
    if (number == 0)
        return row.word[0] ? row.word : "0";
    for (size_t i = units.size(); i-- > 0;)
        if (number % units[i].factor == 0)
            return std::to_string(number / units[i].factor) + units[i].suffix;
    return std::to_string(number);
}

// Digits and a unit, without looking at the bounds.
Result<uint64_t> parse_number(const Row& row, std::string_view item) {
    auto units = units_of(row.type);
    size_t digits = std::min(item.find_first_not_of("0123456789"), item.size());
    std::string_view suffix = item.substr(digits);
    auto unit =
        std::find_if(units.begin(), units.end(), [&](const Unit& u) { return suffix == u.suffix; });
    if (digits == 0 || (unit == units.end() && !suffix.empty()))
        return Error{example_of(row)};
    auto number = parse_u64(item.substr(0, digits));
    if (number == 0u)
        return uint64_t{0};
    if (unit == units.end())
        return Error{"has no unit; write " + with_units(item, units)};
    uint64_t product = 0;
    if (!number || __builtin_mul_overflow(*number, unit->factor, &product))
        return Error{"is out of bounds: " + bounds_text(row)};
    return product;
}

Result<void> add_number(const Row& row, std::string_view item, Value& value) {
    if (row.word[0] && item == row.word) {
        value.number = 0;
        return {};
    }
    auto number = parse_number(row, item);
    if (!number)
        return Error{number.error()};
    if (*number < row.min || *number > row.max)
        return Error{"is out of bounds: " + bounds_text(row)};
    value.number = *number;
    return {};
}

// "80%"; else a size.
Result<void> add_share(const Row& row, std::string_view item, Value& value) {
    if (!item.ends_with('%'))
        return add_number(row, item, value);
    const auto percent = parse_u64(item.substr(0, item.size() - 1));
    if (!percent)
        return Error{example_of(row)};
    if (*percent < 1 || *percent > kMaxPercent)
        return Error{"is out of bounds: " + bounds_text(row)};
    value.number = *percent;
    return {};
}

// "5/s"; "0" and "": no limit. The bounds are the count's.
Result<void> add_rate(const Row& row, std::string_view item, Value& value) {
    value.number = 0;
    if (item.empty() || item == "0")
        return {};
    const size_t slash = item.find('/');
    const std::string_view period = slash == item.npos ? "" : item.substr(slash + 1);
    const auto unit = std::find_if(std::begin(kPeriods), std::end(kPeriods),
                                   [&](const Unit& each) { return period == each.suffix; });
    const std::string_view digits = item.substr(0, slash);
    if (unit == std::end(kPeriods) || digits.empty() ||
        digits.find_first_not_of("0123456789") != digits.npos)
        return Error{"is not a rate, such as 5/s, 300/m or 1000/h"};
    const auto count = parse_u64(digits);
    if (!count || *count < row.min || *count > row.max)
        return Error{"is out of bounds: " + bounds_text(row)};
    value.number = pack_rate(
        {.count = static_cast<uint32_t>(*count), .period_ms = static_cast<uint32_t>(unit->factor)});
    return {};
}

std::string format_rate(Rate rate) {
    for (const Unit& unit : kPeriods)
        if (rate.is_limited() && rate.period_ms == unit.factor)
            return std::to_string(rate.count) + "/" + unit.suffix;
    return "0";
}

// The number of the word among the row's choices.
Result<uint64_t> parse_choice(const Row& row, std::string_view item) {
    auto choices = words_of(row.choices);
    auto found = std::find(choices.begin(), choices.end(), item);
    if (found != choices.end())
        return static_cast<uint64_t>(found - choices.begin());
    if (is_one_of(item, row.later))
        return Error{"is not in this version"};
    return Error{"is not one of " + joined(choices) + did_you_mean(item, choices)};
}

Result<void> add_choice(const Row& row, std::string_view item, Value& value) {
    auto choice = parse_choice(row, item);
    if (!choice)
        return Error{choice.error()};
    if (row.check)
        if (auto checked = row.check(item); !checked)
            return Error{checked.error()};
    if (row.type == Type::Choice) {
        value = {*choice, {std::string(item)}};
        return {};
    }
    uint64_t bit = uint64_t{1} << *choice;
    if (value.number & bit)
        return Error{"stands twice in the list"};
    value.number |= bit;
    if (row.type == Type::Choices)
        value.texts.emplace_back(item);
    return {};
}

Result<void> add_text(const Row& row, std::string_view item, Value& value) {
    std::string text(item);
    if (!text_fault(item).empty())
        return Error{"has control bytes, or is not UTF-8"};
    if (row.type == Type::Text && text.size() > row.max)
        return Error{"is longer than " + std::to_string(row.max) + " bytes"};
    if (row.type == Type::Addresses) {
        auto address = parse_address(item);
        if (!address)
            return Error{address.error()};
    }
    if (row.check && !text.empty()) {
        auto checked = row.check(item);
        if (!checked)
            return Error{checked.error()};
        text = *checked;
    }
    if (std::find(value.texts.begin(), value.texts.end(), text) != value.texts.end())
        return Error{"stands twice in the list"};
    value.texts.push_back(std::move(text));
    return {};
}

std::vector<std::string> format_flags(const Row& row, uint64_t bits) {
    std::vector<std::string> items;
    for (std::string_view word : words_of(row.choices)) {
        if (bits & 1)
            items.emplace_back(word);
        bits >>= 1;
    }
    return items;
}

} // namespace

bool is_list(Type type) {
    return type == Type::Choices || type == Type::Flags || type == Type::Texts ||
           type == Type::Addresses;
}

Result<void> add_item(const Row& row, std::string_view item, Value& value) {
    switch (row.type) {
    case Type::Switch:
        value.number = item == "on";
        return item == "on" || item == "off" ? Result<void>() : Error{"is not 'on' or 'off'"};
    case Type::Size:
    case Type::Duration:
    case Type::Count:
        return add_number(row, item, value);
    case Type::Share:
        return add_share(row, item, value);
    case Type::Rate:
        return add_rate(row, item, value);
    case Type::Choice:
    case Type::Choices:
    case Type::Flags:
        return add_choice(row, item, value);
    case Type::Text:
    case Type::Texts:
    case Type::Addresses:
        break;
    }
    return add_text(row, item, value);
}

Result<void> finish_value(const Row& row, const Value& value) {
    if (row.type == Type::Text)
        return value.texts[0].size() < row.min ? Error{"needs a value"} : Result<void>();
    if (!is_list(row.type))
        return {};
    size_t count =
        row.type == Type::Flags ? format_flags(row, value.number).size() : value.texts.size();
    if (count < row.min)
        return Error{"needs a value"};
    if (count > row.max)
        return Error{"has " + std::to_string(count) + " items, at most " + std::to_string(row.max) +
                     " are allowed"};
    return {};
}

std::vector<std::string> format_items(const Row& row, const Value& value) {
    switch (row.type) {
    case Type::Switch:
        return {value.number ? "on" : "off"};
    case Type::Size:
    case Type::Duration:
    case Type::Count:
        return {format_number(row, value.number)};
    case Type::Share:
        return {value.number <= kMaxPercent ? std::to_string(value.number) + "%"
                                            : format_number(row, value.number)};
    case Type::Rate:
        return {format_rate(unpack_rate(value.number))};
    case Type::Choice:
        return {value.texts.empty() ? std::string(words_of(row.choices)[value.number])
                                    : value.texts[0]};
    case Type::Flags:
        return format_flags(row, value.number);
    default:
        return value.texts;
    }
}

std::string format_value(const Row& row, const Value& value) {
    auto items = format_items(row, value);
    return joined({items.begin(), items.end()});
}

Value default_value(const Row& row) {
    CHECK(row.preset);
    Value value;
    std::vector<std::string> items =
        is_list(row.type) ? split_items(row.preset) : std::vector<std::string>{row.preset};
    for (const std::string& item : items)
        CHECK(add_item(row, item, value).ok());
    CHECK(finish_value(row, value).ok());
    return value;
}

std::string bounds_text(const Row& row) {
    if (row.type == Type::Rate)
        return "0, or " + std::to_string(row.min) + " to " + std::to_string(row.max) +
               " in a period";
    if (row.type == Type::Share)
        return "1% to 100%, or " + format_number(row, row.min) + " to " +
               format_number(row, row.max);
    if (row.type != Type::Size && row.type != Type::Duration && row.type != Type::Count)
        return "";
    Row plain = row;
    plain.word = "";
    return std::string(row.word) + (row.word[0] ? " or " : "") + format_number(plain, row.min) +
           " to " + format_number(plain, row.max);
}

} // namespace fanhorn
