// SPDX-License-Identifier: Apache-2.0
// Things that each have a pattern, found by a channel's name.
#pragma once

#include "base/named_set.h"
#include "relay/pattern.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// T has a `pattern`. Kept by what their patterns begin with, which a wildcard always ends at a
// separator: a name is looked up once for each of its own, and compared with what begins like it.
template <typename T> class Wildcards {
  public:
    bool empty() const { return size_ == 0; }
    size_t size() const { return size_; }

    // Null where there is none.
    T* find(std::string_view pattern) const {
        const Group* group = group_of(prefix_of(pattern));
        for (size_t i = 0; group && i < group->items.size(); ++i)
            if (group->items[i]->pattern.text() == pattern)
                return group->items[i].get();
        return nullptr;
    }
    // Its pattern has something else than literals, and is not in it.
    T& insert(std::unique_ptr<T> item) {
        const std::string_view prefix = prefix_of(item->pattern.text());
        auto found = groups_.find(prefix);
        if (found == groups_.end())
            found = groups_.insert(std::make_unique<Group>(Group{std::string(prefix), {}})).first;
        (*found)->items.push_back(std::move(item));
        ++size_;
        return *(*found)->items.back();
    }
    void erase(const T& item) {
        const auto found = groups_.find(prefix_of(item.pattern.text()));
        std::erase_if((*found)->items, [&](const auto& each) { return each.get() == &item; });
        if ((*found)->items.empty())
            groups_.erase(found);
        --size_;
    }

    // Calls visit(T&) for all that match. Reserved names ('$…') are matched by none.
    template <typename Visit> void each_match(std::string_view name, Visit visit) const {
        if (empty() || name.starts_with('$'))
            return;
        for (size_t length = 0; length != name.npos; length = next_prefix(name, length)) {
            const Group* group = group_of(name.substr(0, length));
            for (size_t i = 0; group && i < group->items.size(); ++i)
                if (group->items[i]->pattern.matches(name))
                    visit(*group->items[i]);
        }
    }
    template <typename Visit> void each(Visit visit) const {
        for (const auto& group : groups_)
            for (const auto& item : group->items)
                visit(*item);
    }

  private:
    static constexpr std::string_view kSeparators = ".:/";
    struct Group {
        std::string_view key() const { return prefix; }
        std::string prefix;
        std::vector<std::unique_ptr<T>> items;
    };

    // Up to the separator before the first '*'; a {name} further ahead is looked for by matching.
    static std::string_view prefix_of(std::string_view pattern) {
        pattern = pattern.substr(0, pattern.find_first_of("*{"));
        return pattern.substr(0, pattern.find_last_of(kSeparators) + 1);
    }
    // The next longer beginning of the name that ends at a separator.
    static size_t next_prefix(std::string_view name, size_t length) {
        const size_t end = name.find_first_of(kSeparators, length);
        return end == name.npos ? end : end + 1;
    }
    const Group* group_of(std::string_view prefix) const {
        const auto found = groups_.find(prefix);
        return found == groups_.end() ? nullptr : found->get();
    }

    NamedSet<Group> groups_;
    size_t size_ = 0;
};

} // namespace fanhorn
