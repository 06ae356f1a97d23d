// SPDX-License-Identifier: Apache-2.0
// Words of the configuration: lists of them in tables, and did-you-mean.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// The words of a text, which stand between single blanks.
std::vector<std::string_view> words_of(std::string_view text);

// Whether `word` is one of those in `words`.
bool is_one_of(std::string_view word, std::string_view words);

// "a, b, c".
std::string joined(const std::vector<std::string_view>& words);

// "; did you mean 'x'?" for the nearest of the words if one is near enough, else "".
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& words);

} // namespace fanhorn
