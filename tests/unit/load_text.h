// SPDX-License-Identifier: Apache-2.0
// Loads configurations from text, for tests. Include before test.h.
#pragma once

#include "server/config.h"

#include <string>
#include <vector>

#include "fake_surroundings.h"

namespace fanhorn {

// A configuration needs one: three lines.
inline const std::string kListener = "[listener l]\naddress = 127.0.0.1:80\nserve = publish\n";

inline LoadedConfig load(const std::string& text, const std::vector<std::string>& overrides = {}) {
    FakeSurroundings world;
    world.variables = {{"A", "x"},
                       {"PORT", "9"},
                       {"LIST", "poll, sse"},
                       {"MULTI", "/a\nb"},
                       {"CREDENTIALS_DIRECTORY", "/cred"}};
    world.files = {{"f", text}, {"/cred/file", "/secret/path\n"}, {"/level", "bad\n"}};
    return load_config("f", overrides, world);
}

inline std::string lines(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts)
        all += text + "\n";
    return all;
}

} // namespace fanhorn
