// SPDX-License-Identifier: Apache-2.0
// Values of the configuration, by the rules of their row: from text, and back to text.
#pragma once

#include "base/result.h"
#include "server/options.h"

#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

bool is_list(Type type);

// Adds one item (of a scalar: the only one) to the value. The error goes on behind the item:
// "has no unit; write 25s".
Result<void> add_item(const Row& row, std::string_view item, Value& value);

// Whether there are enough items and not too many. The error goes on behind the key: "needs ...".
Result<void> finish_value(const Row& row, const Value& value);

// The value as items that add_item() takes; a scalar has exactly one.
std::vector<std::string> format_items(const Row& row, const Value& value);

// The items with ", " between them.
std::string format_value(const Row& row, const Value& value);

// What the row says where the file says nothing.
Value default_value(const Row& row);

// "1k to 1m", "auto or 1 to 1024"; "" for types without.
std::string bounds_text(const Row& row);

} // namespace fanhorn
