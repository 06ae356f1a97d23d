// SPDX-License-Identifier: Apache-2.0
#include "server/place.h"

#include <algorithm>

namespace fanhorn {

std::string Place::text() const {
    return line == 0 ? file : file + ":" + std::to_string(line);
}

void Faults::add(const Place& where, std::string text) {
    auto known = std::find(files_.begin(), files_.end(), where.file);
    size_t file = static_cast<size_t>(known - files_.begin());
    if (known == files_.end())
        files_.push_back(where.file);
    faults_.push_back({file, where.line, where.text() + ": " + std::move(text)});
}

std::vector<std::string> Faults::list() const {
    std::vector<Fault> sorted = faults_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Fault& a, const Fault& b) {
        return a.file != b.file ? a.file < b.file : a.line < b.line;
    });
    std::vector<std::string> lines;
    lines.reserve(sorted.size());
    for (Fault& fault : sorted)
        lines.push_back(std::move(fault.text));
    if (lines.size() > kMaxShown) {
        size_t more = lines.size() - kMaxShown + 1;
        lines.resize(kMaxShown);
        lines.back() = "and " + std::to_string(more) + " more errors";
    }
    return lines;
}

} // namespace fanhorn
