// SPDX-License-Identifier: Apache-2.0
#include "server/words.h"

#include "base/text.h"

#include <algorithm>

namespace fanhorn {

std::vector<std::string_view> words_of(std::string_view text) {
    return text.empty() ? std::vector<std::string_view>() : split(text, ' ');
}

bool is_one_of(std::string_view word, std::string_view words) {
    auto all = words_of(words);
    return std::find(all.begin(), all.end(), word) != all.end();
}

std::string joined(const std::vector<std::string_view>& words) {
    std::string text;
    for (std::string_view word : words) {
        text += text.empty() ? "" : ", ";
        text += word;
    }
    return text;
}

// Near: two slips, in long words one in three letters; never so many that nothing is left.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& words) {
    size_t nearest = std::min(std::max<size_t>(2, word.size() / 3) + 1, word.size());
    std::string_view found;
    for (std::string_view candidate : words) {
        size_t distance = edit_distance(word, candidate);
        if (distance < nearest && distance < candidate.size()) {
            nearest = distance;
            found = candidate;
        }
    }
    return found.empty() ? "" : "; did you mean '" + std::string(found) + "'?";
}

} // namespace fanhorn
