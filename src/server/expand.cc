// SPDX-License-Identifier: Apache-2.0
#include "server/expand.h"

#include "base/secret.h"
#include "base/text.h"

#include <algorithm>

namespace fanhorn {

namespace {

bool is_variable_name(std::string_view name) {
    auto is_letter = [](char c) { return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_'; };
    auto is_word = [&](char c) { return is_letter(c) || is_digit(c); };
    return !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), is_word);
}

Result<std::string> content(const std::string& path, const Surroundings& world) {
    auto text = world.read(path);
    if (!text)
        return Error{"'" + path + "': " + text.error()};
    if (text->find('\0') != std::string::npos)
        return Error{"'" + path + "': has a NUL byte"};
    if (!text->empty() && text->back() == '\n')
        text->pop_back();
    return text;
}

Result<std::string> from_file(std::string_view path, const Surroundings& world) {
    if (path.empty() || path[0] != '/')
        return Error{"needs an absolute path, as in ${file:/path}"};
    return content(std::string(path), world);
}

Result<std::string> from_credential(std::string_view name, const Surroundings& world) {
    if (name.empty() || name[0] == '.' || name.find('/') != std::string_view::npos)
        return Error{"'" + std::string(name) + "' is not a credential's name"};
    auto folder = world.variable("CREDENTIALS_DIRECTORY");
    if (!folder)
        return Error{"$CREDENTIALS_DIRECTORY is not set"};
    return content(*folder + "/" + std::string(name), world);
}

// As in a shell, the default stands in for an unset and for an empty variable.
Result<std::string> from_variable(std::string_view inside, const Surroundings& world) {
    size_t dash = inside.find(":-");
    std::string name(inside.substr(0, dash));
    if (!is_variable_name(name))
        return Error{"is not ${NAME}, ${NAME:-default}, ${file:/path} or ${cred:NAME}"};
    auto value = world.variable(name);
    if (dash != std::string_view::npos && (!value || value->empty()))
        return std::string(inside.substr(dash + 2));
    if (!value)
        return Error{"is not defined; a default is written ${" + name + ":-default}"};
    return *value;
}

// `inside` is what stands between the braces.
Result<Expanded> look_up(std::string_view inside, const Surroundings& world) {
    bool has_default = inside.find(":-") != std::string_view::npos;
    bool file = inside.starts_with("file:") && !has_default;
    bool cred = inside.starts_with("cred:") && !has_default;
    auto text = file   ? from_file(inside.substr(5), world)
                : cred ? from_credential(inside.substr(5), world)
                       : from_variable(inside, world);
    if (!text)
        return Error{"${" + std::string(inside) + "}: " + text.error()};
    return Expanded{std::move(*text), file || cred};
}

// Up to the next comma or blank that does not stand inside of ${...}.
size_t item_length(std::string_view value) {
    size_t i = 0;
    while (i < value.size() && value[i] != ',' && value[i] != ' ' && value[i] != '\t') {
        std::string_view rest = value.substr(i);
        size_t close = rest.starts_with("${") ? rest.find('}') : 0;
        i += close == std::string_view::npos ? rest.size() : rest.starts_with("$$") ? 2 : close + 1;
    }
    return i;
}

} // namespace

Result<Expanded> expand(std::string_view value, const Surroundings& world,
                        std::string (*quote)(std::string_view)) {
    Expanded result;
    for (size_t dollar; (dollar = value.find('$')) != std::string_view::npos;) {
        result.text += value.substr(0, dollar);
        value.remove_prefix(dollar + 1);
        if (value.starts_with('$')) {
            result.text += '$';
            value.remove_prefix(1);
            continue;
        }
        size_t close = value.find('}');
        if (!value.starts_with('{') || close == std::string_view::npos)
            return Error{"a '$' begins ${NAME}; a '$' itself is written '$$'"};
        std::string_view inside = value.substr(1, close - 1);
        if (inside.find('$') != std::string_view::npos)
            return Error{"${" + std::string(inside) + "}: no '$' may stand inside of ${...}"};
        auto found = look_up(inside, world);
        if (!found)
            return Error{found.error()};
        result.text += quote ? quote(found->text) : found->text;
        result.secret |= found->secret;
        wipe(found->text);
        value.remove_prefix(close + 1);
    }
    result.text += value;
    return result;
}

std::vector<std::string> split_items(std::string_view value) {
    std::vector<std::string> items;
    while (!value.empty()) {
        size_t length = item_length(value);
        if (length > 0)
            items.emplace_back(value.substr(0, length));
        value.remove_prefix(std::min(length + 1, value.size()));
    }
    return items;
}

} // namespace fanhorn
