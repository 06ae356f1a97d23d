// SPDX-License-Identifier: Apache-2.0
// THE table of the configuration: one row for each key of each section type. The rows drive
// parsing, defaults, did-you-mean, -T, -M, reload and the reference part of fanhorn.conf(5).
#pragma once

#include "base/result.h"
#include "relay/settings.h"
#include "server/address.h"

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace fanhorn {

// A parsed value. Number: sizes in bytes, durations in milliseconds, counts, switches (0, 1), the
// index of a choice, the bits of flags, a rate's count below its period (pack_rate()). Texts:
// everything else.
struct Value {
    uint64_t number = 0;
    std::vector<std::string> texts;
};

enum class Type : uint8_t {
    Switch,    // on | off
    Size,      // 64k
    Duration,  // 25s
    Count,     // 200k
    Rate,      // 5/s
    Share,     // 80%, or a size: up to 100 it is per cent
    Choice,    // one word of `choices`
    Choices,   // a list of them, its order kept
    Flags,     // a list of them, as bits
    Text,      // anything
    Texts,     // a list
    Addresses, // a list of parse_address()
};

// A rate as a number and back: its period in milliseconds in the upper half.
inline uint64_t pack_rate(Rate rate) {
    return uint64_t{rate.period_ms} << 32 | rate.count;
}
inline Rate unpack_rate(uint64_t number) {
    return {.count = static_cast<uint32_t>(number),
            .period_ms = static_cast<uint32_t>(number >> 32)};
}

// How a value gets into a settings struct and out of it again.
struct Binding {
    void (*store)(void* settings, const Value& value);
    Value (*load)(const void* settings);
};

template <auto Member> struct Bound;

template <typename Struct, typename Field, Field Struct::*Member> struct Bound<Member> {
    static void store(void* settings, const Value& value) {
        Field& field = static_cast<Struct*>(settings)->*Member;
        if constexpr (std::is_same_v<Field, std::string>) {
            field = value.texts.empty() ? "" : value.texts[0];
        } else if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
            field = value.texts;
        } else if constexpr (std::is_same_v<Field, std::vector<Address>>) {
            field.clear();
            for (const std::string& text : value.texts)
                field.push_back(*parse_address(text));
        } else if constexpr (std::is_same_v<Field, std::vector<Network>>) {
            field.clear();
            for (const std::string& text : value.texts)
                field.push_back(*Network::parse(text));
        } else if constexpr (std::is_same_v<Field, Access>) {
            field.text = value.texts.empty() ? "" : value.texts[0];
        } else if constexpr (std::is_same_v<Field, Rate>) {
            field = unpack_rate(value.number);
        } else {
            field = static_cast<Field>(value.number);
        }
    }
    static Value load(const void* settings) {
        const Field& field = static_cast<const Struct*>(settings)->*Member;
        Value value;
        if constexpr (std::is_same_v<Field, std::string>) {
            value.texts = {field};
        } else if constexpr (std::is_same_v<Field, std::vector<std::string>>) {
            value.texts = field;
        } else if constexpr (std::is_same_v<Field, std::vector<Address>>) {
            for (const Address& address : field)
                value.texts.push_back(address.text);
        } else if constexpr (std::is_same_v<Field, std::vector<Network>>) {
            for (const Network& network : field)
                value.texts.push_back(network.text());
        } else if constexpr (std::is_same_v<Field, Access>) {
            value.texts = {field.text};
        } else if constexpr (std::is_same_v<Field, Rate>) {
            value.number = pack_rate(field);
        } else {
            value.number = static_cast<uint64_t>(field);
        }
        return value;
    }
};

template <auto Member>
inline constexpr Binding kField = {&Bound<Member>::store, &Bound<Member>::load};

struct Row {
    const char* name;
    Type type;
    Binding binding;
    const char* preset = nullptr; // the default, as it would be written; null: must be given
    // Numbers: bounds in their own unit. Text: its bytes. Lists: how many items.
    uint64_t min = 0;
    uint64_t max = std::numeric_limits<uint32_t>::max();
    const char* choices = ""; // the words, by blanks, in the order of their numbers
    const char* word = "";    // Count: the word that stands for 0
    const char* later = "";   // words that a later version knows
    // Text and Texts: checks an item and may put it into canonical form.
    Result<std::string> (*check)(std::string_view) = nullptr;
    bool reloadable = true;    // a reload applies a change
    bool is_secret = false;    // Text, Texts: what is written there is never shown
    const char* meta = "";     // Text, Texts: the value in the manual page, in mdoc(7)
    const char* documentation; // sentences, one a line
};

// How sections of a type are named.
enum class Naming : uint8_t {
    Single,  // [server]; may be given in several pieces
    Name,    // [listener NAME]; each name once
    Pattern, // [channel PATTERN]
};

struct SectionType {
    const char* type;
    const char* title; // as the manual page shows it: "listener NAME"
    Naming naming;
    const char* fixed; // Single: the name it must have, "" for none: [defaults channel]
    std::span<const Row> rows;
    const char* later; // keys that a later version knows
    const char* documentation;
};

std::span<const SectionType> section_types();

// The section type with that first word, or null.
const SectionType* find_section_type(std::string_view type);

// The index of the row, or rows.size().
size_t find_row(const SectionType& type, std::string_view key);

} // namespace fanhorn
