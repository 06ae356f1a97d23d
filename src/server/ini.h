// SPDX-License-Identifier: Apache-2.0
// Reads the INI text of a configuration, with all that it includes, into sections and entries. What
// the words mean is not known here. The text goes through inih behind a reader of our own, because
// inih alone gives no line numbers and silently splits long lines.
#pragma once

#include "server/place.h"
#include "server/surroundings.h"

#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// One line `key = value`, or an indented line that repeats the key of the line before.
struct IniEntry {
    std::string key;
    std::string value; // as written: not expanded, without comment and surrounding blanks
    Place place;
    bool continued = false; // an indented line
};

// One header `[type name]` and what follows it.
struct IniSection {
    std::string type;
    std::string name; // "" for none
    Place place;
    std::vector<IniEntry> entries;
};

// The sections of `file` and of what it includes (those first), in the order they are read. Reads
// on behind a fault, so that all of them are found.
std::vector<IniSection> read_ini(const std::string& file, const Surroundings& world,
                                 Faults& faults);

// Takes "type name" apart. The name may contain any bytes, blanks too.
void split_section(std::string_view header, std::string& type, std::string& name);

// Comments begin with '#' or ';', at the start of the line or after a blank.
std::string_view without_comment(std::string_view line);

// What is wrong with that line or override as text, or "" (NUL, control bytes, not UTF-8).
std::string text_fault(std::string_view line);

} // namespace fanhorn
