// SPDX-License-Identifier: Apache-2.0
// PATTERN, PATTERN and NAME, a line each: what contains matches whatever the contained one does,
// and a table of patterns finds just those that match.
#include "base/utf8.h"
#include "relay/wildcards.h"

#include <algorithm>
#include <cstdlib>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

struct Item {
    Pattern pattern;
};

static void expect_found(const Pattern& one, const Pattern& other, std::string_view name) {
    Wildcards<Item> table;
    size_t wanted = 0, found = 0;
    for (const Pattern* each : {&one, &other})
        if (is_wildcard(each->text()) && !table.find(each->text())) {
            table.insert(std::make_unique<Item>(Item{*each}));
            wanted += each->matches(name) && !name.starts_with('$') ? 1 : 0;
        }
    table.each_match(name, [&](const Item& item) { found += item.pattern.matches(name) ? 1 : 99; });
    require(found == wanted);
    for (const Pattern* each : {&one, &other})
        if (const Item* item = table.find(each->text()))
            table.erase(*item);
    require(table.empty());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    const auto line = [&] {
        const size_t end = std::min(input.find('\n'), input.size());
        const std::string_view text = input.substr(0, end);
        input.remove_prefix(std::min(end + 1, input.size()));
        return text;
    };
    const auto one = Pattern::parse(line()), other = Pattern::parse(line());
    const std::string_view name = line();
    if (!one || !other) {
        require(one.ok() || (!one.error().empty() && is_utf8(one.error())));
        return 0;
    }
    require(one->contains(*one) && other->contains(*other));
    if (one->contains(*other) && other->contains(*one))
        require(one->specificity(*other) == 0);
    if (!is_channel_name(name))
        return 0;
    require(!one->contains(*other) || !other->matches(name) || one->matches(name));
    require(!one->matches(name) || name.starts_with(one->literal()));
    expect_found(*one, *other, name);
    return 0;
}
