// SPDX-License-Identifier: Apache-2.0
#include "modules/json_patch.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

namespace fanhorn {

namespace {

using Node = uint32_t; // of its Document
using Nodes = std::vector<Node>;

constexpr Node kNoNode = UINT32_MAX;
constexpr uint64_t kObjectSeed = 1, kArraySeed = 2;

uint64_t mix(uint64_t left, uint64_t right) {
    const uint64_t both[] = {left, right};
    return keyed_hash({reinterpret_cast<const char*>(both), sizeof both});
}

bool has_escape(std::string_view string) {
    return string.find('\\') != string.npos;
}

// "\u0061" and "a" are one name.
uint64_t name_hash(std::string_view name) {
    return has_escape(name) ? keyed_hash(json_text(name))
                            : keyed_hash(name.substr(1, name.size() - 2));
}

// Members of one object by the hashes of their names.
class Names {
  public:
    void restart(size_t count) {
        size_t size = 4;
        while (size < 2 * count)
            size *= 2;
        entries_.assign(size, {});
    }
    // Whether it is a new one.
    bool add(uint64_t hash, Node node) {
        Entry& entry = entries_[place(hash)];
        const bool is_new = entry.node == kNoNode;
        entry = {hash, node};
        return is_new;
    }
    Node find(uint64_t hash) const { return entries_[place(hash)].node; }

  private:
    struct Entry {
        uint64_t hash = 0;
        Node node = kNoNode;
    };

    size_t place(uint64_t hash) const {
        size_t at = hash & (entries_.size() - 1);
        while (entries_[at].node != kNoNode && entries_[at].hash != hash)
            at = (at + 1) & (entries_.size() - 1);
        return at;
    }

    std::vector<Entry> entries_;
};

// A text taken apart, with a hash of what each value says.
class Document {
  public:
    bool read(std::string_view text) {
        return read_json_nodes(text, kMaxPatchDepth, kMaxPatchNodes, nodes_) && find_hashes();
    }

    std::string_view name(Node node) const { return nodes_[node].name; }
    std::string_view value(Node node) const { return nodes_[node].value; }
    JsonKind kind(Node node) const { return json_kind(value(node)); }
    // Of what it holds (or is), whatever its name.
    uint64_t hash(Node node) const { return hashes_[node].value; }
    uint64_t name_hash(Node node) const { return hashes_[node].name; }

    // What it holds, in order.
    Node first(Node node) const { return node + 1; }
    Node behind(Node node) const { return nodes_[node].next; }
    template <typename Do> void for_each(Node node, Do act) const {
        for (Node each = first(node); each != behind(node); each = behind(each))
            act(each);
    }
    Nodes children(Node node) const {
        Nodes children;
        for_each(node, [&](Node each) { children.push_back(each); });
        return children;
    }

  private:
    struct Hashes {
        uint64_t value = 0, name = 0;
    };

    bool find_hashes();
    bool find_object_hash(Node object);
    void find_array_hash(Node array);

    std::vector<JsonNode> nodes_;
    std::vector<Hashes> hashes_;
    Names names_;
};

// From the last to the first: each behind those that it holds.
bool Document::find_hashes() {
    hashes_.resize(nodes_.size());
    for (Node node = static_cast<Node>(nodes_.size()); node-- > 0;) {
        if (!name(node).empty())
            hashes_[node].name = fanhorn::name_hash(name(node));
        if (kind(node) == JsonKind::Array)
            find_array_hash(node);
        else if (kind(node) != JsonKind::Object)
            hashes_[node].value = keyed_hash(value(node));
        else if (!find_object_hash(node))
            return false;
    }
    return true;
}

bool Document::find_object_hash(Node object) {
    size_t count = 0;
    uint64_t sum = 0; // the same in any order
    for_each(object, [&](Node each) {
        sum += mix(name_hash(each), hash(each));
        ++count;
    });
    hashes_[object].value = mix(sum, kObjectSeed);
    names_.restart(count);
    bool is_new = true;
    for_each(object, [&](Node each) { is_new = names_.add(name_hash(each), each) && is_new; });
    return is_new;
}

void Document::find_array_hash(Node array) {
    uint64_t chain = kArraySeed;
    for_each(array, [&](Node each) { chain = mix(chain, hash(each)); });
    hashes_[array].value = mix(chain, kArraySeed);
}

// Finds members that are asked for in their own order, as is usual, without a table.
class MemberFinder {
  public:
    MemberFinder(const Document& document, Node object)
        : document_(document), object_(object), at_(document.first(object)) {}

    Node find(uint64_t name_hash);
    // How many members there are.
    size_t size() const;

  private:
    void make_names();

    const Document& document_;
    const Node object_;
    Node at_; // behind the last one found
    std::optional<Names> names_;
};

Node MemberFinder::find(uint64_t name_hash) {
    Node found = at_;
    if (at_ == document_.behind(object_) || document_.name_hash(at_) != name_hash) {
        if (!names_)
            make_names();
        found = names_->find(name_hash);
    }
    if (found != kNoNode)
        at_ = document_.behind(found);
    return found;
}

size_t MemberFinder::size() const {
    size_t count = 0;
    document_.for_each(object_, [&](Node) { ++count; });
    return count;
}

void MemberFinder::make_names() {
    names_.emplace();
    names_->restart(size());
    document_.for_each(object_, [&](Node each) { names_->add(document_.name_hash(each), each); });
}

// A member's name as it stands in a JSON Pointer (RFC 6901 section 3) in a JSON string.
void append_token(std::string& path, std::string_view name) {
    const std::string_view raw = name.substr(1, name.size() - 2);
    if (raw.find_first_of("~/\\") == raw.npos) {
        path += raw;
        return;
    }
    std::string token;
    for (const char byte : json_text(name)) {
        if (byte == '~')
            token += "~0";
        else if (byte == '/')
            token += "~1";
        else
            token += byte;
    }
    std::string quoted;
    append_json_string(quoted, token);
    path.append(quoted, 1, quoted.size() - 2);
}

// How many of `tail`'s last elements are the first of `head`, which has some: the prefix function
// of Knuth, Morris and Pratt.
size_t find_overlap(const std::vector<uint64_t>& tail, const std::vector<uint64_t>& head) {
    std::vector<size_t> borders(head.size());
    size_t length = 0;
    const auto step = [&](uint64_t hash) {
        while (length > 0 && (length == head.size() || head[length] != hash))
            length = borders[length - 1];
        if (head[length] == hash)
            ++length;
    };
    for (size_t i = 1; i < head.size(); ++i) {
        step(head[i]);
        borders[i] = length;
    }
    length = 0;
    for (const uint64_t hash : tail)
        step(hash);
    return length;
}

// Writes operations, each with a comma behind it. What takes a `limit` says whether `out` stayed
// within it; if not, there is a part in `out` that is to be cut off.
class Differ {
  public:
    Differ(std::string& out, const Document& from, const Document& to)
        : out_(out), from_(from), to_(to) {}

    bool write_value(Node from, Node to, size_t limit);

  private:
    // The elements of two arrays without those that are the same at both ends; the first of them
    // has the index `at`.
    struct Middle {
        std::span<const Node> from, to;
        size_t at;
    };
    // So many elements of the one go, so many of the other come.
    struct Splice {
        size_t removed_at, removed, added_at, added;
    };

    bool write_object(Node from, Node to, size_t limit);
    bool write_removals(Node from, Node to, size_t limit);
    bool write_array(Node from, Node to, size_t limit);
    bool write_elements(const Middle& middle, size_t limit);
    bool write_shifted(const Middle& middle, size_t limit);
    bool write_splice(const Middle& middle, const Splice& splice, size_t limit);
    bool write_operation(std::string_view name, std::string_view value, size_t limit);

    // What `write` writes about the part of that name or index.
    template <typename Write> bool in_part(std::string_view name, Write write) {
        const size_t begin = path_.size();
        path_ += '/';
        append_token(path_, name);
        const bool is_within = write();
        path_.resize(begin);
        return is_within;
    }
    template <typename Write> bool in_part(size_t index, Write write) {
        const size_t begin = path_.size();
        path_ += '/';
        append_number(path_, index);
        const bool is_within = write();
        path_.resize(begin);
        return is_within;
    }

    std::string& out_;
    const Document& from_;
    const Document& to_;
    std::string path_; // of the value at hand
};

constexpr std::string_view kOpensName = "{\"op\":\"", kOpensPath = "\",\"path\":\"",
                           kOpensValue = "\",\"value\":", kEndsPath = "\"", kEnds = "},";

size_t operation_size(std::string_view name, std::string_view path, std::string_view value) {
    const std::string_view behind_path = value.empty() ? kEndsPath : kOpensValue;
    return kOpensName.size() + name.size() + kOpensPath.size() + path.size() + behind_path.size() +
           value.size() + kEnds.size();
}

// A removal has no value.
bool Differ::write_operation(std::string_view name, std::string_view value, size_t limit) {
    if (operation_size(name, path_, value) > limit - out_.size())
        return false;
    out_.append(kOpensName).append(name).append(kOpensPath).append(path_);
    out_.append(value.empty() ? kEndsPath : kOpensValue).append(value).append(kEnds);
    return true;
}

// What has changed in it, or all of it where that is shorter.
bool Differ::write_value(Node from, Node to, size_t limit) {
    if (from_.hash(from) == to_.hash(to))
        return true;
    const size_t begin = out_.size();
    const std::string_view value = to_.value(to);
    const size_t within = std::min(limit, begin + operation_size("replace", path_, value));
    const JsonKind kind = from_.kind(from) == to_.kind(to) ? to_.kind(to) : JsonKind::Null;
    if (kind == JsonKind::Object && write_object(from, to, within))
        return true;
    if (kind == JsonKind::Array && write_array(from, to, within))
        return true;
    out_.resize(begin);
    return write_operation("replace", value, limit);
}

bool Differ::write_object(Node from, Node to, size_t limit) {
    MemberFinder finder(from_, from);
    size_t found = 0;
    for (Node each = to_.first(to); each != to_.behind(to); each = to_.behind(each)) {
        const Node old = finder.find(to_.name_hash(each));
        found += old != kNoNode ? 1 : 0;
        if (old != kNoNode && from_.hash(old) == to_.hash(each))
            continue;
        if (!in_part(to_.name(each), [&] {
                return old == kNoNode ? write_operation("add", to_.value(each), limit)
                                      : write_value(old, each, limit);
            }))
            return false;
    }
    return found == finder.size() || write_removals(from, to, limit);
}

bool Differ::write_removals(Node from, Node to, size_t limit) {
    MemberFinder finder(to_, to);
    for (Node each = from_.first(from); each != from_.behind(from); each = from_.behind(each))
        if (finder.find(from_.name_hash(each)) == kNoNode &&
            !in_part(from_.name(each), [&] { return write_operation("remove", {}, limit); }))
            return false;
    return true;
}

bool Differ::write_array(Node from, Node to, size_t limit) {
    const Nodes olds = from_.children(from), news = to_.children(to);
    Middle middle{olds, news, 0};
    const auto is_same = [&](Node old, Node other) { return from_.hash(old) == to_.hash(other); };
    while (!middle.from.empty() && !middle.to.empty() &&
           is_same(middle.from.front(), middle.to.front())) {
        middle = {middle.from.subspan(1), middle.to.subspan(1), middle.at + 1};
    }
    while (!middle.from.empty() && !middle.to.empty() &&
           is_same(middle.from.back(), middle.to.back())) {
        middle.from = middle.from.first(middle.from.size() - 1);
        middle.to = middle.to.first(middle.to.size() - 1);
    }
    const size_t begin = out_.size();
    if (!write_shifted(middle, limit)) {
        out_.resize(begin);
        return write_elements(middle, limit);
    }
    const std::string shifted = out_.substr(begin);
    out_.resize(begin);
    if (write_elements(middle, begin + shifted.size()))
        return true;
    out_.resize(begin);
    out_ += shifted;
    return true;
}

// Each for the one at the same place.
bool Differ::write_elements(const Middle& middle, size_t limit) {
    const size_t common = std::min(middle.from.size(), middle.to.size());
    for (size_t i = 0; i < common; ++i)
        if (!in_part(middle.at + i,
                     [&] { return write_value(middle.from[i], middle.to[i], limit); }))
            return false;
    return write_splice(
        middle, {common, middle.from.size() - common, common, middle.to.size() - common}, limit);
}

// As a list that has moved on: what is at the end of the one is at the beginning of the other.
// False too when it is none.
bool Differ::write_shifted(const Middle& middle, size_t limit) {
    const size_t olds = middle.from.size(), news = middle.to.size();
    if (olds == 0 || news == 0)
        return false;
    std::vector<uint64_t> from, to;
    for (const Node each : middle.from)
        from.push_back(from_.hash(each));
    for (const Node each : middle.to)
        to.push_back(to_.hash(each));
    const size_t forward = find_overlap(from, to), backward = find_overlap(to, from);
    if (forward == 0 && backward == 0)
        return false;
    if (forward >= backward)
        return write_splice(middle, {0, olds - forward, forward, news - forward}, limit);
    return write_splice(middle, {backward, olds - backward, 0, news - backward}, limit);
}

bool Differ::write_splice(const Middle& middle, const Splice& splice, size_t limit) {
    for (size_t i = 0; i < splice.removed; ++i)
        if (!in_part(middle.at + splice.removed_at,
                     [&] { return write_operation("remove", {}, limit); }))
            return false;
    for (size_t i = splice.added_at; i < splice.added_at + splice.added; ++i)
        if (!in_part(middle.at + i,
                     [&] { return write_operation("add", to_.value(middle.to[i]), limit); }))
            return false;
    return true;
}

} // namespace

bool make_patch(std::string& out, std::string_view from, std::string_view to, size_t max_bytes) {
    constexpr std::string_view kNone = "[]";
    Document old, current;
    if (max_bytes < kNone.size() || !old.read(from) || !current.read(to))
        return false;
    const size_t begin = out.size();
    out += '[';
    // The last operation's comma becomes the bracket.
    if (!Differ(out, old, current)
             .write_value(0, 0, begin + std::min(max_bytes, out.max_size() / 2))) {
        out.resize(begin);
        return false;
    }
    if (out.size() == begin + 1)
        out += ',';
    out.back() = ']';
    return true;
}

} // namespace fanhorn
