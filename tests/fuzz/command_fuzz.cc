// SPDX-License-Identifier: Apache-2.0
// A command of fanhorn.v1, or a list of channels for POST /sub: whatever it is, what is taken from
// it is checked, and a piece of it.
#include "base/utf8.h"
#include "server/command_members.h"

#include <cstdlib>
#include <set>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

static void expect_problem(const http::Problem& problem) {
    require(problem.status >= 400 && is_utf8(problem.detail));
    const auto json = error_json("1", problem);
    require(read_json(json, kMaxCommandDepth) == JsonKind::Object);
}

static void expect_names(std::string_view array, NameCheck check) {
    std::vector<std::string> names;
    if (auto problem = read_names(array, 10, names, check))
        return expect_problem(*problem);
    require(!names.empty() && names.size() <= 10);
    require(std::set(names.begin(), names.end()).size() == names.size());
    for (const std::string& name : names)
        require(!name.starts_with('$') && (is_channel_name(name) || Pattern::parse(name).ok()));
}

static void expect_members(std::string_view text) {
    const CommandMembers members(text);
    require(members.is_object() == (read_json(text, kMaxCommandDepth) == JsonKind::Object));
    for (const char* name : {"id", "subscribe", "publish", "channel", "token"}) {
        const std::string_view value = members.value(name);
        require(value.empty() || text.find(value) != text.npos);
        if (const auto said = members.text(name))
            require(is_utf8(*said) && json_kind(value) == JsonKind::String);
    }
    if (auto problem = members.check_known({"id", "subscribe"}))
        expect_problem(*problem);
    Since since;
    if (auto problem = read_since(members.value("since"), since))
        expect_problem(*problem);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (read_json(text, kMaxCommandDepth) == JsonKind::Object) {
        expect_members(text);
        const std::string id = command_id(text);
        require(id == "null" || text.find(id) != text.npos);
    }
    std::optional<LongList> list;
    if (auto problem = read_long_list(text, 10, list))
        expect_problem(*problem);
    expect_names(text, check_name);
    expect_names(text, check_name_or_wildcard);
    return 0;
}
