// SPDX-License-Identifier: Apache-2.0
// Where in a configuration something stands, and the list of what is wrong with it.
#pragma once

#include <string>
#include <vector>

namespace fanhorn {

struct Place {
    std::string file;  // "-g" for an override, "default" for a row's own default
    unsigned line = 0; // 0: the file as a whole

    // "FILE:LINE", or "FILE" for line 0.
    std::string text() const;
};

// Collects every fault of a configuration, so that one run shows them all.
class Faults {
  public:
    void add(const Place& where, std::string text);

    bool empty() const { return faults_.empty(); }

    // "FILE:LINE: text" each, in the order of files and lines; at most kMaxShown, of which the last
    // then says how many more there are.
    std::vector<std::string> list() const;

    static constexpr size_t kMaxShown = 50;

  private:
    struct Fault {
        size_t file; // index in files_
        unsigned line;
        std::string text;
    };
    std::vector<std::string> files_; // in the order in which faults named them
    std::vector<Fault> faults_;
};

} // namespace fanhorn
