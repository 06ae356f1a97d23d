// SPDX-License-Identifier: Apache-2.0
#include "server/effective.h"

#include "server/config.h"
#include "server/values.h"
#include "server/words.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr size_t kKeyColumn = 19;    // the longest key
constexpr size_t kOriginColumn = 64; // where origins begin when values are short
constexpr size_t kMaxValue = 100;    // longer lists get a line an item

std::string padded(std::string text, size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

// "$" as it must be written in a value.
std::string escaped(const std::string& text) {
    std::string result;
    for (char c : text)
        result += c == '$' ? std::string("$$") : std::string(1, c);
    return result;
}

// The items as they can be written in a configuration.
std::vector<std::string> written_items(const Row& row, const Setting& setting) {
    auto as_is = [](const Item& item) { return !item.secret && &item.shown() == &item.text; };
    std::vector<std::string> texts = format_items(row, setting.value);
    if (std::all_of(setting.items.begin(), setting.items.end(), as_is)) {
        std::transform(texts.begin(), texts.end(), texts.begin(), escaped);
        return texts;
    }
    texts.clear();
    for (const Item& item : setting.items)
        texts.push_back(as_is(item) ? escaped(item.text) : item.raw);
    return texts;
}

std::string line(const Row& row, const std::vector<std::string>& items, const std::string& origin) {
    std::string value = joined({items.begin(), items.end()});
    bool split = value.size() > kMaxValue && is_list(row.type);
    std::string text = padded(row.name, kKeyColumn) + " = " + (split ? items[0] : value);
    text = padded(std::move(text), kOriginColumn - 1) + " ; " + origin + "\n";
    for (size_t i = 1; split && i < items.size(); ++i)
        text += std::string(kKeyColumn + 3, ' ') + items[i] + "\n";
    return text;
}

std::string section_text(const Section& section) {
    std::string text =
        padded(section.title(), kOriginColumn - 1) + " ; " + section.place.text() + "\n";
    for (size_t i = 0; i < section.settings.size(); ++i) {
        const Row& row = section.type->rows[i];
        const Setting& setting = section.settings[i];
        text += line(row, written_items(row, setting), setting.place.text());
    }
    return text;
}

// The types in the order of the table, channels as they are looked at.
bool comes_before(const Section& a, const Section& b) {
    if (a.type != b.type)
        return a.type < b.type;
    return a.type->naming == Naming::Pattern &&
           Pattern::parse(a.name)->specificity(*Pattern::parse(b.name)) < 0;
}

} // namespace

std::string effective_text(const std::vector<Section>& sections) {
    std::vector<Section> sorted = sections;
    std::stable_sort(sorted.begin(), sorted.end(), comes_before);
    std::string text;
    for (const Section& section : sorted)
        text += (text.empty() ? "" : "\n") + section_text(section);
    return text;
}

std::string explain_channel(const Config& config, std::string_view channel) {
    std::string name(channel);
    if (!is_channel_name(channel))
        return "this is not a channel name: 1 to 255 bytes of UTF-8 without control characters, "
               "',' "
               "and '*'\n";
    const ChannelSettings* settings = config.settings_for(channel);
    if (!settings)
        return "no [channel] section matches '" + name + "'\n";
    std::string text = "'" + name + "' is governed by [channel " + settings->pattern + "] at " +
                       settings->origin + "\n";
    for (const Row& row : find_section_type("channel")->rows)
        text += padded(row.name, kKeyColumn) + " = " +
                format_value(row, row.binding.load(settings)) + "\n";
    return text;
}

namespace {

void compare(std::string_view type, const std::string& name, const void* before, const void* after,
             std::vector<std::string>& changes) {
    for (const Row& row : find_section_type(type)->rows)
        if (!row.reloadable && format_value(row, row.binding.load(before)) !=
                                   format_value(row, row.binding.load(after)))
            changes.push_back("[" + std::string(type) + (name.empty() ? "" : " ") + name + "] " +
                              row.name);
}

template <typename Settings>
void compare_named(std::string_view type, const std::vector<Settings>& before,
                   const std::vector<Settings>& after, std::vector<std::string>& changes) {
    for (const Settings& one : before)
        for (const Settings& other : after)
            if (one.name == other.name)
                compare(type, one.name, &one, &other, changes);
}

} // namespace

std::vector<std::string> unreloadable_changes(const Config& before, const Config& after) {
    std::vector<std::string> changes;
    compare("server", "", &before.server, &after.server, changes);
    compare("log", "", &before.log, &after.log, changes);
    compare("limits", "", &before.limits, &after.limits, changes);
    compare_named("listener", before.listeners, after.listeners, changes);
    compare_named("broker", before.brokers, after.brokers, changes);
    if (before.hooks.empty() && !after.hooks.empty())
        changes.push_back("[hooks]"); // nobody has been counted
    return changes;
}

} // namespace fanhorn
