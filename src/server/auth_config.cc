// SPDX-License-Identifier: Apache-2.0
#include "server/auth_config.h"

#include "modules/modules.h"
#include "relay/claim_rule.h"
#include "server/endpoint_config.h"
#include "server/values.h"
#include "server/words.h"

#include <algorithm>

namespace fanhorn {

namespace {

bool is_auth(const Section& section) {
    return section.type->type == std::string_view("auth");
}

const AuthModule& module_named(std::string_view type) {
    const auto modules = auth_modules();
    const auto found = std::find_if(modules.begin(), modules.end(),
                                    [&](const AuthModule* each) { return each->type == type; });
    CHECK(found != modules.end()); // the row's words are the modules
    return **found;
}

// A rule asks for a token, and names segments of the section's own pattern.
void check_rule(const Section& section, std::string_view key, const Item& item,
                const AccessText& access, std::string_view words, Faults& faults) {
    if (is_one_of(access.name, words))
        faults.add(item.place, std::string(key) +
                                   ": a claim's rule stands behind the name of an [auth] section");
    const auto pattern = Pattern::parse(section.name);
    const std::string unknown = access.rule->unknown_capture(pattern ? *pattern : Pattern());
    if (!unknown.empty())
        faults.add(item.place, std::string(key) + ": {" + unknown + "} is not in the pattern '" +
                                   section.name + "'");
}

// `words`: what may stand there besides names.
void check_name(const Section& section, std::string_view key, std::string_view words,
                const std::vector<Section>& sections, Faults& faults) {
    std::vector<std::string_view> names = words_of(words);
    for (const Section& other : sections)
        if (is_auth(other))
            names.push_back(other.name);
    for (const Item& item : section.setting(key).items) {
        const auto access = parse_access(item.text);
        const std::string name = access ? access->name : "";
        if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
            faults.add(item.place, std::string(key) + ": there is no [auth " + name + "]" +
                                       did_you_mean(name, names));
        if (access && access->rule)
            check_rule(section, key, item, *access, words, faults);
    }
}

// Whether a backend may publish is not asked of a backend.
void check_backend_auth(const Section& section, const std::vector<Section>& sections,
                        Faults& faults) {
    for (const Item& item : section.setting("auth").items)
        for (const Section& other : sections)
            if (is_auth(other) && other.name == item.text && !other.setting("type").items.empty() &&
                other.setting("type").items.back().text == "callback")
                faults.add(item.place, "auth: [auth " + item.shown() +
                                           "] is of type callback, which is for clients: use one "
                                           "of type bearer or jwt");
}

// What has the name of a word could not be referred to.
void check_own_name(const Section& section, Faults& faults) {
    if (is_one_of(section.name, "public deny off"))
        faults.add(section.place, section.title() + ": this name means something else where "
                                                    "sections are referred to");
}

// Keys that were given and belong to another type; as their defaults are, -T shows them.
bool check_keys(const Section& section, const AuthModule& module, Faults& faults) {
    bool is_good = true;
    for (size_t i = 0; i < section.settings.size(); ++i) {
        const Row& row = section.type->rows[i];
        const std::string_view key = row.name;
        const Setting& setting = section.settings[i];
        if (key == "type" || is_one_of(key, module.keys) ||
            format_value(row, setting.value) == format_value(row, default_value(row)))
            continue;
        is_good = false;
        faults.add(setting.place,
                   "'" + std::string(key) + "' is not a key of type = " + std::string(module.type));
    }
    return is_good;
}

// Where an item of a key was given, or the section itself.
const Place& place_of(const Section& section, const AuthFault& fault) {
    const auto& items = section.setting(fault.key).items;
    return fault.item < items.size() ? items[fault.item].place : section.place;
}

// Of the rules of channels that ask for that section.
std::vector<std::string> claims_of(const Section& section, const std::vector<Section>& sections) {
    std::vector<std::string> names;
    for (const Section& other : sections) {
        if (other.type->type != std::string_view("channel"))
            continue;
        for (const char* key : {"subscribe", "client_publish"}) {
            const auto& texts = other.setting(key).value.texts;
            const auto access = parse_access(texts.empty() ? std::string() : texts[0]);
            if (access && access->rule && access->name == section.name &&
                std::find(names.begin(), names.end(), access->rule->claim) == names.end())
                names.push_back(access->rule->claim);
        }
    }
    return names;
}

std::shared_ptr<const Authority> make_authority(const Section& section,
                                                const std::vector<Section>& sections,
                                                const Surroundings& world, Faults& faults) {
    AuthSettings settings;
    settings.name = section.name;
    settings.kept_claims = claims_of(section, sections);
    for (size_t i = 0; i < section.settings.size(); ++i)
        section.type->rows[i].binding.store(&settings, section.settings[i].value);
    const AuthModule& module = module_named(settings.type);
    if (!check_keys(section, module, faults))
        return nullptr;
    for (size_t i = 0; i < settings.keys.size(); ++i) {
        auto text = world.read(settings.keys[i]);
        if (!text) {
            const Item& item = section.setting("keys").items[i];
            faults.add(item.place, "keys: '" + item.shown() + "': " + text.error());
            return nullptr;
        }
        settings.key_texts.push_back(std::move(*text));
    }
    auto made = module.create(std::move(settings));
    if (const auto* fault = std::get_if<AuthFault>(&made)) {
        faults.add(place_of(section, *fault), std::string(fault->key) + ": " + fault->text);
        return nullptr;
    }
    return std::get<std::shared_ptr<const Authority>>(made);
}

} // namespace

std::shared_ptr<const Authority> find_authority(const Authorities& authorities,
                                                std::string_view name) {
    const auto found = authorities.find(name);
    return found == authorities.end() ? nullptr : found->second;
}

void check_auth_names(const Section& section, const std::vector<Section>& sections,
                      Faults& faults) {
    const std::string_view type = section.type->type;
    if (type == "auth")
        check_own_name(section, faults);
    if (type == "listener") {
        check_name(section, "auth", "", sections, faults);
        check_backend_auth(section, sections, faults);
    }
    if (type != "channel" && type != "defaults")
        return;
    check_name(section, "subscribe", "public deny", sections, faults);
    check_name(section, "client_publish", "public off", sections, faults);
}

Authorities make_authorities(const std::vector<Section>& sections, const Surroundings& world,
                             Endpoints& endpoints, Faults& faults) {
    Authorities authorities;
    for (const Section& section : sections) {
        if (!is_auth(section) || !section.is_whole())
            continue;
        const auto& authority = authorities[section.name] =
            make_authority(section, sections, world, faults);
        if (authority && authority->inquiry())
            if (auto endpoint = make_endpoint(section, world, faults))
                endpoints[section.name] = std::move(*endpoint);
    }
    return authorities;
}

} // namespace fanhorn
