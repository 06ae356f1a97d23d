// SPDX-License-Identifier: Apache-2.0
// Objects found by a name of their own, which comes from outside.
#pragma once

#include "base/hash.h"

#include <memory>
#include <string_view>
#include <unordered_set>

namespace fanhorn {

template <typename T> struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view name) const { return keyed_hash(name); }
    size_t operator()(const std::unique_ptr<T>& each) const { return keyed_hash(each->key()); }
};

template <typename T> struct NameEqual {
    using is_transparent = void;
    using Owner = std::unique_ptr<T>;
    bool operator()(const Owner& a, const Owner& b) const { return a->key() == b->key(); }
    bool operator()(const Owner& a, std::string_view b) const { return a->key() == b; }
    bool operator()(std::string_view a, const Owner& b) const { return a == b->key(); }
};

// T::key() is its name, as a string_view, and stays the same. find() takes a string_view. The name
// is kept once, where a map would have a copy.
template <typename T>
using NamedSet = std::unordered_set<std::unique_ptr<T>, NameHash<T>, NameEqual<T>>;

} // namespace fanhorn
