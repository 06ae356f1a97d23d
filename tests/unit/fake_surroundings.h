// SPDX-License-Identifier: Apache-2.0
// Files and environment of a configuration, in memory.
#pragma once

#include "server/surroundings.h"

#include <fnmatch.h>
#include <map>

namespace fanhorn {

class FakeSurroundings final : public Surroundings {
  public:
    std::map<std::string, std::string> files;
    std::map<std::string, std::string> variables;

    Result<std::string> read(const std::string& path) const override {
        auto found = files.find(path);
        if (found == files.end())
            return Error{"No such file or directory"};
        return found->second;
    }
    Result<std::vector<std::string>> matching(const std::string& glob) const override {
        std::vector<std::string> paths;
        for (const auto& [path, text] : files)
            if (fnmatch(glob.c_str(), path.c_str(), FNM_PATHNAME) == 0)
                paths.push_back(path);
        return paths;
    }
    Result<std::vector<PeerAddress>> resolve(const std::string& host,
                                             const std::string&) const override {
        if (host == "nowhere.example")
            return Error{"'" + host + "': Name or service not known"};
        return std::vector<PeerAddress>(1);
    }
    std::optional<std::string> variable(const std::string& name) const override {
        auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
    }
};

} // namespace fanhorn
