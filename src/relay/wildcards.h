// SPDX-License-Identifier: Apache-2.0
// Things that each have a pattern, found by a channel's name.
#pragma once

#include "base/named_set.h"
#include "relay/pattern.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// T has a `pattern`. A tree of segments: a name is looked up in it segment by segment, so that what
// it does not match costs nothing, however much there is.
template <typename T> class Wildcards {
  public:
    bool empty() const { return size_ == 0; }
    size_t size() const { return size_; }

    // By its text; null where there is none.
    T* find(std::string_view text) const {
        const auto pattern = Pattern::parse(text);
        const Items* items = pattern ? items_of(*pattern) : nullptr;
        for (size_t i = 0; items && i < items->size(); ++i)
            if ((*items)[i]->pattern.text() == text)
                return (*items)[i].get();
        return nullptr;
    }
    // One that is not in it.
    T& insert(std::unique_ptr<T> item) {
        Node* node = &root_;
        Items* items = nullptr;
        for (const Pattern::Segment& segment : item->pattern.segments()) {
            items = &(segment.kind == Kind::Rest ? node->rest : node->child(segment).items);
            if (segment.kind != Kind::Rest)
                node = &node->child(segment);
        }
        items->push_back(std::move(item));
        ++size_;
        return *items->back();
    }
    void erase(const T& item) {
        erase(root_, item, item.pattern.segments());
        --size_;
    }

    // Calls visit(T&) for all that match. Reserved names ('$…') are matched by none.
    template <typename Visit> void each_match(std::string_view name, Visit visit) const {
        if (!empty() && !is_reserved(name))
            match(root_, name, visit);
    }

    // Calls visit(T&) for all of them.
    template <typename Visit> void each(Visit visit) const { each(root_, visit); }

  private:
    using Kind = Pattern::Segment::Kind;
    using Items = std::vector<std::unique_ptr<T>>;
    using Segments = std::span<const Pattern::Segment>;

    // What may follow one beginning.
    struct Node {
        std::string_view key() const { return name; }
        bool is_empty() const {
            return items.empty() && rest.empty() && literals.empty() && ones.empty();
        }
        NamedSet<Node>& children(const Pattern::Segment& segment) {
            return segment.kind == Kind::Literal ? literals : ones;
        }
        Node& child(const Pattern::Segment& segment) {
            std::string key = key_of(segment);
            NamedSet<Node>& all = children(segment);
            const auto found = all.find(std::string_view(key));
            if (found != all.end())
                return **found;
            auto made = std::make_unique<Node>();
            made->name = std::move(key);
            return **all.insert(std::move(made)).first;
        }

        std::string name;              // a segment with its separator; of '*' that alone
        NamedSet<Node> literals, ones; // by their names
        Items items, rest;             // of patterns that end with it; that go on with '**'
    };

    static std::string key_of(const Pattern::Segment& segment) {
        std::string key = segment.text;
        if (segment.kind != Kind::Literal)
            key.clear();
        return segment.end == '\0' ? key : key + segment.end;
    }
    static const Node* find_in(const NamedSet<Node>& children, std::string_view key) {
        const auto found = children.find(key);
        return found == children.end() ? nullptr : found->get();
    }

    const Items* items_of(const Pattern& pattern) const {
        const Node* node = &root_;
        for (const Pattern::Segment& segment : pattern.segments()) {
            if (segment.kind == Kind::Rest)
                return &node->rest;
            node = find_in(segment.kind == Kind::Literal ? node->literals : node->ones,
                           key_of(segment));
            if (!node)
                return nullptr;
        }
        return &node->items;
    }

    static void erase(Node& node, const T& item, Segments segments) {
        const auto take_out = [&](Items& items) {
            std::erase_if(items, [&](const auto& each) { return each.get() == &item; });
        };
        if (segments.empty())
            return take_out(node.items);
        if (segments[0].kind == Kind::Rest)
            return take_out(node.rest);
        NamedSet<Node>& children = node.children(segments[0]);
        const auto found = children.find(std::string_view(key_of(segments[0])));
        erase(**found, item, segments.subspan(1));
        if ((*found)->is_empty())
            children.erase(found);
    }

    template <typename Visit> static void each(const Node& node, Visit& visit) {
        visit_all(node.items, visit);
        visit_all(node.rest, visit);
        for (const NamedSet<Node>* children : {&node.literals, &node.ones})
            for (const auto& child : *children)
                each(*child, visit);
    }
    template <typename Visit>
    static void match(const Node& node, std::string_view name, Visit& visit) {
        if (!name.empty())
            visit_all(node.rest, visit);
        const size_t length = std::min(name.find_first_of(".:/"), name.size());
        const std::string_view end = name.substr(length, 1);
        go_on(find_in(node.literals, name.substr(0, length + end.size())), name, length, visit);
        if (length > 0)
            go_on(find_in(node.ones, end), name, length, visit);
    }
    template <typename Visit>
    static void go_on(const Node* node, std::string_view name, size_t length, Visit& visit) {
        if (!node)
            return;
        if (length == name.size())
            visit_all(node->items, visit);
        else
            match(*node, name.substr(length + 1), visit);
    }
    template <typename Visit> static void visit_all(const Items& items, Visit& visit) {
        for (const auto& item : items)
            visit(*item);
    }

    Node root_;
    size_t size_ = 0;
};

} // namespace fanhorn
