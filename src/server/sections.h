// SPDX-License-Identifier: Apache-2.0
// The sections of a configuration with their values parsed by the rows: between the INI text, which
// knows no meanings, and Config, which knows no origins.
#pragma once

#include "server/ini.h"
#include "server/options.h"

#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// One item of a value, as it was given.
struct Item {
    std::string raw;  // not expanded
    std::string text; // expanded
    Place place;
    bool secret = false;
    static constexpr const char* kMask = "********";

    // What may be shown of it: the text, or what was written where the text is secret or is not fit
    // for a line. What was written as it is in the place of a secret is kMask in `raw`.
    const std::string& shown() const;
};

struct Setting {
    enum class State : unsigned char {
        Unset,
        Set,
        Faulty, // given, and told to be wrong
    };
    State state = State::Unset;
    Value value;
    Place place; // where it was first given; the file is "default" for the row's default
    std::vector<Item> items; // empty for a default
};

struct Section {
    const SectionType* type;
    std::string name; // "" for [server], "channel" for [defaults channel]
    Place place;
    std::vector<Setting> settings; // one a row

    Setting& setting(std::string_view key) { return settings[find_row(*type, key)]; }
    const Setting& setting(std::string_view key) const { return settings[find_row(*type, key)]; }

    // Whether every setting has a value, and none was told to be wrong.
    bool is_whole() const;
    // "[listener public]".
    std::string title() const;
};

// Puts the -g texts 'section.key=value' in the place of what the files say.
void apply_overrides(const std::vector<std::string>& overrides, std::vector<IniSection>& inis,
                     Faults& faults);

// Every section with what it sets, in the order of the files, and one of each Single type whether
// given or not. Several pieces of a Single type are one section.
std::vector<Section> parse_sections(const std::vector<IniSection>& inis, const Surroundings& world,
                                    Faults& faults);

// Sets what is unset: of [channel] from [defaults channel], of all from the rows. Tells of what has
// no default.
void fill_defaults(std::vector<Section>& sections, Faults& faults);

// Overwrites what is written in the place of secrets, and what it expanded to, when it has been
// used; what may be shown of it stays.
void wipe_secrets(std::vector<IniSection>& inis);
void wipe_secrets(std::vector<Section>& sections);

} // namespace fanhorn
