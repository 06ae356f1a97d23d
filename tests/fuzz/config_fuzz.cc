// SPDX-License-Identifier: Apache-2.0
// Any text is loaded, or refused with reasons; what was loaded is printed as a configuration that
// loads again and means the same. Up to a NUL byte the input is a configuration; what follows is
// what it may include as "more" and read as ${file:/more}, and the value of ${MORE}.
#include "base/text.h"
#include "server/config.h"
#include "server/sections.h"
#include "tests/unit/fake_surroundings.h"

#include <cstdlib>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

static std::string without_origins(const std::string& effective) {
    std::string values;
    for (std::string_view line : split(effective, '\n'))
        values += std::string(line.substr(0, line.find(" ; "))) + "\n";
    return values;
}

static void expect_same_again(const LoadedConfig& first, FakeSurroundings& world) {
    world.files["effective"] = first.effective;
    LoadedConfig second = load_config("effective", {}, world);
    require(second.errors.empty());
    require(without_origins(first.effective) == without_origins(second.effective));
    for (const ChannelSection& section : first.config->channels)
        explain_channel(*second.config, section.pattern.text());
    require(unreloadable_changes(*first.config, *second.config).empty());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    std::string_view config = take_until(text, '\0');
    FakeSurroundings world;
    world.files = {
        {"main", std::string(config)}, {"more", std::string(text)}, {"/more", std::string(text)}};
    world.variables["MORE"] = text.substr(0, text.find('\0'));
    LoadedConfig loaded = load_config("main", {}, world);
    require((loaded.config == nullptr) != loaded.errors.empty());
    require(loaded.errors.size() <= 50);
    // What -T hides cannot be loaded again.
    if (loaded.config && loaded.effective.find(Item::kMask) == std::string::npos)
        expect_same_again(loaded, world);
    // The same text in the place of an override: the environment may bring it.
    load_config("main", {std::string(text)}, world);
    return 0;
}
