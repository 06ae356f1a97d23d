// SPDX-License-Identifier: Apache-2.0
#include "server/sections.h"

#include "base/secret.h"
#include "base/text.h"
#include "server/expand.h"
#include "server/values.h"
#include "server/words.h"

#include <algorithm>

namespace fanhorn {

namespace {

const Place kOverride = {"-g", 0};

bool is_section_name(std::string_view name) {
    auto is_word = [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '_' || c == '-' ||
               c == '.';
    };
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), is_word);
}

std::string header(std::string_view type, std::string_view name) {
    return "[" + std::string(type) + (name.empty() ? "" : " ") + std::string(name) + "]";
}

// What is wrong with a section's header, or "".
std::string header_fault(const IniSection& ini, const SectionType* type) {
    std::string title = header(ini.type, ini.name);
    if (!type) {
        std::vector<std::string_view> types;
        for (const SectionType& known : section_types())
            types.push_back(known.type);
        return "unknown section " + title + did_you_mean(ini.type, types);
    }
    std::string example = "[" + std::string(type->title) + "]";
    if (type->naming != Naming::Single && ini.name.empty())
        return title + " needs a name: " + example;
    if (type->naming == Naming::Single && ini.name != type->fixed)
        return "unknown section " + title + "; did you mean '" + type->title + "'?";
    if (type->naming == Naming::Name && !is_section_name(ini.name))
        return title + ": a name has letters, digits, '_', '-' and '.', at most 64";
    return "";
}

std::string unknown_key(const SectionType& type, const std::string& key) {
    std::string where = header(type.type, type.fixed);
    std::string unknown = "unknown key '" + key + "' in " + where;
    if (is_one_of(key, type.later))
        return "'" + key + "' in " + where + " is not in this version";
    if (key == "include")
        return "'include' must stand before the first section";
    for (const SectionType& other : section_types())
        if (find_row(other, key) < other.rows.size())
            return unknown + "; it is a [" + (other.fixed[0] ? "channel" : other.type) + "] key";
    std::vector<std::string_view> keys;
    for (const Row& row : type.rows)
        keys.push_back(row.name);
    return unknown + did_you_mean(key, keys);
}

// Whether it is a single ${...}, which shows nothing.
bool is_reference(std::string_view raw) {
    return raw.starts_with("${") && raw.find('}') == raw.size() - 1 && raw.find(":-") == raw.npos;
}

class SectionParser {
  public:
    SectionParser(const Surroundings& world, Faults& faults) : world_(world), faults_(faults) {
        for (const SectionType& type : section_types())
            if (type.naming == Naming::Single)
                open(type, type.fixed, Place{"default", 0});
    }

    void add(const IniSection& ini);
    std::vector<Section> finish();

  private:
    Section& open(const SectionType& type, std::string_view name, const Place& place);
    Section* find(const SectionType& type, std::string_view name);
    void add_entry(Section& section, const IniEntry& entry);
    void add_value(const Row& row, Setting& setting, const IniEntry& entry);
    void add_one(const Row& row, Setting& setting, const std::string& raw, const Place& place);
    void fail(Setting& setting, const Place& place, std::string text);

    const Surroundings& world_;
    Faults& faults_;
    std::vector<Section> sections_;
};

Section& SectionParser::open(const SectionType& type, std::string_view name, const Place& place) {
    sections_.push_back({&type, std::string(name), place, {}});
    sections_.back().settings.resize(type.rows.size());
    return sections_.back();
}

Section* SectionParser::find(const SectionType& type, std::string_view name) {
    for (Section& section : sections_)
        if (section.type == &type && section.name == name)
            return &section;
    return nullptr;
}

void SectionParser::add(const IniSection& ini) {
    if (ini.type.empty())
        return; // its header was a fault
    const SectionType* type = find_section_type(ini.type);
    if (std::string fault = header_fault(ini, type); !fault.empty())
        faults_.add(ini.place, fault);
    if (!type)
        return;
    Section* section = find(*type, ini.name);
    if (section && type->naming != Naming::Single)
        faults_.add(ini.place, section->title() + " was given before, at " + section->place.text());
    if (!section || type->naming != Naming::Single)
        section = &open(*type, ini.name, ini.place);
    if (section->place.file == "default")
        section->place = ini.place;
    for (const IniEntry& entry : ini.entries)
        add_entry(*section, entry);
}

void SectionParser::add_entry(Section& section, const IniEntry& entry) {
    size_t index = find_row(*section.type, entry.key);
    if (index == section.type->rows.size()) {
        if (!entry.continued)
            faults_.add(entry.place, unknown_key(*section.type, entry.key));
        return;
    }
    const Row& row = section.type->rows[index];
    Setting& setting = section.settings[index];
    bool again = setting.state != Setting::State::Unset && !is_list(row.type);
    if (again && entry.continued)
        return fail(setting, entry.place, std::string("'") + row.name + "' is not a list");
    if (again)
        return fail(setting, entry.place,
                    std::string("'") + row.name + "' was given before, at " + setting.place.text());
    add_value(row, setting, entry);
}

void SectionParser::add_value(const Row& row, Setting& setting, const IniEntry& entry) {
    if (setting.state == Setting::State::Unset) {
        setting.state = Setting::State::Set;
        setting.place = entry.place;
    }
    if (!is_list(row.type))
        return add_one(row, setting, entry.value, entry.place);
    for (std::string& item : split_items(entry.value)) {
        add_one(row, setting, item, entry.place);
        if (row.is_secret)
            wipe(item);
    }
}

void SectionParser::add_one(const Row& row, Setting& setting, const std::string& raw,
                            const Place& place) {
    std::string key = std::string(row.name) + ": ";
    auto expanded = expand(raw, world_);
    if (!expanded)
        return fail(setting, place, key + expanded.error());
    const bool is_masked = row.is_secret && !raw.empty() && !is_reference(raw);
    Item item{is_masked ? Item::kMask : raw, std::move(expanded->text), place,
              expanded->secret || row.is_secret};
    if (item.text.empty() && row.type != Type::Text)
        return fail(setting, place, std::string("'") + row.name + "' needs a value");
    if (auto added = add_item(row, item.text, setting.value); !added)
        return fail(setting, place,
                    key + "'" + item.shown() + "' " +
                        (item.secret
                             ? "does not hold what is allowed here; fanhorn.conf(5) says what is"
                             : added.error()));
    setting.items.push_back(std::move(item));
}

void SectionParser::fail(Setting& setting, const Place& place, std::string text) {
    setting.state = Setting::State::Faulty;
    faults_.add(place, std::move(text));
}

std::vector<Section> SectionParser::finish() {
    for (Section& section : sections_)
        for (size_t i = 0; i < section.settings.size(); ++i) {
            Setting& setting = section.settings[i];
            const Row& row = section.type->rows[i];
            if (setting.state != Setting::State::Set)
                continue;
            if (auto finished = finish_value(row, setting.value); !finished)
                fail(setting, setting.place, std::string("'") + row.name + "' " + finished.error());
        }
    return std::move(sections_);
}

// The section that an override speaks of, made where the files have none.
IniSection& section_for(const std::string& type, const std::string& name,
                        std::vector<IniSection>& inis) {
    for (IniSection& ini : inis)
        if (ini.type == type && ini.name == name)
            return ini;
    return inis.emplace_back(IniSection{type, name, kOverride, {}});
}

void apply_override(std::string_view text, std::vector<IniSection>& inis, Faults& faults) {
    text = without_comment(text);
    size_t equals = text.find('=');
    size_t dot = text.substr(0, equals).rfind('.');
    if (!text_fault(text).empty() || equals == text.npos || dot == text.npos || dot == 0)
        return faults.add(kOverride, "'" + escape_for_log(text) + "' is not 'section.key=value'");
    std::string type, name;
    split_section(text.substr(0, dot), type, name);
    std::string key(trim_blanks(text.substr(dot + 1, equals - dot - 1)));
    std::string value(trim_blanks(text.substr(equals + 1)));
    for (IniSection& ini : inis)
        if (ini.type == type && ini.name == name)
            std::erase_if(ini.entries, [&](const IniEntry& entry) {
                return entry.key == key && entry.place.line != 0;
            });
    section_for(type, name, inis).entries.push_back({key, value, kOverride});
}

} // namespace

const std::string& Item::shown() const {
    bool fit = !secret && text_fault(text).empty() && text.find('\t') == std::string::npos &&
               text == trim_blanks(without_comment(text));
    return fit ? text : raw;
}

bool Section::is_whole() const {
    return std::all_of(settings.begin(), settings.end(),
                       [](const Setting& each) { return each.state == Setting::State::Set; });
}

std::string Section::title() const {
    return header(type->type, name);
}

void apply_overrides(const std::vector<std::string>& overrides, std::vector<IniSection>& inis,
                     Faults& faults) {
    for (const std::string& text : overrides)
        apply_override(text, inis, faults);
}

std::vector<Section> parse_sections(const std::vector<IniSection>& inis, const Surroundings& world,
                                    Faults& faults) {
    SectionParser parser(world, faults);
    for (const IniSection& ini : inis)
        parser.add(ini);
    return parser.finish();
}

void wipe_secrets(std::vector<IniSection>& inis) {
    for (IniSection& ini : inis)
        for (IniEntry& entry : ini.entries) {
            const SectionType* type = find_section_type(ini.type);
            const size_t row = type ? find_row(*type, entry.key) : 0;
            if (type && row < type->rows.size() && type->rows[row].is_secret)
                wipe(entry.value);
        }
}

void wipe_secrets(std::vector<Section>& sections) {
    for (Section& section : sections)
        for (size_t i = 0; i < section.settings.size(); ++i) {
            if (!section.type->rows[i].is_secret)
                continue;
            for (std::string& text : section.settings[i].value.texts)
                wipe(text);
            for (Item& item : section.settings[i].items)
                wipe(item.text);
        }
}

void fill_defaults(std::vector<Section>& sections, Faults& faults) {
    auto defaults = std::find_if(sections.begin(), sections.end(), [](const Section& section) {
        return section.type->fixed[0] != '\0';
    });
    for (Section& section : sections)
        for (size_t i = 0; i < section.settings.size(); ++i) {
            Setting& setting = section.settings[i];
            const Row& row = section.type->rows[i];
            if (section.type->naming == Naming::Pattern && setting.state == Setting::State::Unset)
                setting = defaults->settings[i];
            if (setting.state != Setting::State::Unset)
                continue;
            if (!row.preset)
                faults.add(section.place, section.title() + " needs '" + row.name + "'");
            else
                setting = {Setting::State::Set, default_value(row), Place{"default", 0}, {}};
        }
}

} // namespace fanhorn
