// SPDX-License-Identifier: Apache-2.0
#include "server/config.h"

#include "relay/claim_rule.h"
#include "server/auth_config.h"
#include "server/broker_config.h"
#include "server/dashboard.h"
#include "server/effective.h"
#include "server/hook_config.h"
#include "server/sections.h"
#include "server/surroundings.h"
#include "server/tls_config.h"
#include "server/words.h"

#include <algorithm>
#include <map>

namespace fanhorn {

namespace {

// All settings of the section into the struct that its rows are bound to.
void store(const Section& section, void* settings) {
    for (size_t i = 0; i < section.settings.size(); ++i)
        section.type->rows[i].binding.store(settings, section.settings[i].value);
}

bool is(const Section& section, std::string_view type) {
    return section.type->type == type;
}

// What no row can see: how the sections fit together.
class Checker {
  public:
    Checker(const std::vector<Section>& sections, Faults& faults)
        : sections_(sections), faults_(faults) {}

    void check(const std::string& file) {
        bool listens = false;
        for (const Section& section : sections_) {
            listens |= is(section, "listener");
            if (is(section, "server")) {
                check_descriptors(section);
                check_group(section);
            }
            check_auth_names(section, sections_, faults_);
            if (is(section, "listener")) {
                check_addresses(section);
                check_tls_name(section, sections_, faults_);
                check_proxies(section);
            }
            if (is(section, "channel"))
                check_pattern(section);
            if (is(section, "channel") || is(section, "defaults"))
                check_broker_name(section);
            if (is(section, "broker"))
                check_broker(section, faults_);
        }
        if (!listens)
            faults_.add(Place{file, 0}, "no [listener] section: nothing to do");
    }

  private:
    // syslog(3) keeps the number of its socket, which would be another one's in a worker's table.
    void check_descriptors(const Section& server) {
        const auto has = [](const Section& section, std::string_view key, std::string_view value) {
            const auto& items = section.setting(key).items;
            return !items.empty() && items.back().text == value;
        };
        if (!has(server, "descriptors", "worker"))
            return;
        for (const Section& log : sections_)
            if (is(log, "log") && has(log, "target", "syslog"))
                faults_.add(log.setting("target").items.back().place,
                            "target: syslog cannot be with descriptors = worker; take stderr or "
                            "a file");
    }

    void check_group(const Section& server) {
        if (!server.setting("group").items.empty() && server.setting("user").items.empty())
            faults_.add(server.setting("group").place, "group: needs 'user', whose group it is");
    }

    void check_addresses(const Section& listener) {
        for (const Item& item : listener.setting("address").items) {
            std::string key = address_key(*parse_address(item.text));
            if (key.empty())
                continue;
            auto [known, is_new] = addresses_.emplace(key, item.place);
            if (!is_new)
                faults_.add(item.place, "address: '" + item.shown() +
                                            "' is listened on already, at " + known->second.text());
        }
    }

    void check_proxies(const Section& listener) {
        const Setting& header = listener.setting("proxy_protocol");
        const Setting& proxies = listener.setting("trusted_proxies");
        if (header.state == Setting::State::Set && header.value.number != 0 &&
            proxies.state != Setting::State::Faulty && proxies.items.empty())
            faults_.add(header.items.back().place,
                        "proxy_protocol: needs 'trusted_proxies', the addresses of the proxies "
                        "whose header is believed");
    }

    // The name itself was compared already: here are those that differ only in their {names}.
    void check_pattern(const Section& section) {
        auto pattern = Pattern::parse(section.name);
        if (!pattern)
            return faults_.add(section.place, section.title() + ": " + pattern.error());
        for (const auto& [known, where] : patterns_)
            if (known.text() != section.name && known.specificity(*pattern) == 0)
                faults_.add(section.place, section.title() +
                                               " matches the same channels as [channel " +
                                               known.text() + "] at " + where.text());
        patterns_.emplace_back(*pattern, section.place);
    }

    void check_broker_name(const Section& section) {
        const Setting& broker = section.setting("broker");
        std::vector<std::string_view> names;
        for (const Section& other : sections_)
            if (is(other, "broker"))
                names.push_back(other.name);
        for (const Item& item : broker.items)
            if (!item.text.empty() &&
                std::find(names.begin(), names.end(), item.text) == names.end())
                faults_.add(item.place, "broker: there is no [broker " + item.shown() + "]" +
                                            did_you_mean(item.text, names));
    }

    const std::vector<Section>& sections_;
    Faults& faults_;
    std::map<std::string, Place> addresses_;
    std::vector<std::pair<Pattern, Place>> patterns_;
};

void add_channel(const Section& section, const Authorities& authorities, Config& config) {
    ChannelSettings settings;
    settings.pattern = section.name;
    settings.origin = section.place.text();
    store(section, &settings);
    const Pattern pattern = *Pattern::parse(section.name);
    for (Access* access : {&settings.subscribe, &settings.client_publish}) {
        auto parsed = parse_access(access->text);
        access->authority = find_authority(authorities, parsed->name);
        if (!parsed->rule)
            continue;
        parsed->rule->pattern = pattern;
        access->rule = std::make_shared<const ClaimRule>(std::move(*parsed->rule));
    }
    config.channels.push_back({pattern, std::move(settings)});
}

void add_section(const Section& section, const Authorities& authorities, Config& config) {
    if (is(section, "server"))
        store(section, &config.server);
    else if (is(section, "log"))
        store(section, &config.log);
    else if (is(section, "limits"))
        store(section, &config.limits);
    else if (is(section, "defaults"))
        store(section, &config.defaults);
    else if (is(section, "channel"))
        add_channel(section, authorities, config);
    else if (is(section, "listener")) {
        ListenerSettings& listener = config.listeners.emplace_back();
        listener.name = section.name;
        listener.origin = section.place.text();
        store(section, &listener);
        listener.authority = find_authority(authorities, listener.auth);
        listener.tls_context = find_tls(config.tls, listener.tls);
    }
}

std::shared_ptr<Config> build(const std::string& file, const std::vector<Section>& sections,
                              const Authorities& authorities, Endpoints endpoints,
                              std::vector<TlsSection> tls) {
    auto config = std::make_shared<Config>();
    config->endpoints = std::move(endpoints);
    config->file = file;
    config->tls = std::move(tls);
    for (const auto& [name, authority] : authorities)
        config->authorities.push_back(authority);
    for (const Section& section : sections)
        add_section(section, authorities, *config);
    std::sort(config->channels.begin(), config->channels.end(),
              [](const ChannelSection& a, const ChannelSection& b) {
                  return a.pattern.specificity(b.pattern) < 0;
              });
    return config;
}

} // namespace

const ChannelSettings* Config::settings_for(std::string_view channel) const {
    if (channel == kDashboardChannel)
        return &dashboard_settings();
    for (const ChannelSection& section : channels)
        if (section.pattern.matches(channel))
            return &section.settings;
    return nullptr;
}

const ChannelSettings* Config::settings_for_wildcard(const Pattern& wildcard) const {
    for (const ChannelSection& section : channels)
        if (section.pattern.contains(wildcard))
            return &section.settings;
    return nullptr;
}

LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides) {
    return load_config(file, overrides, SystemSurroundings());
}

LoadedConfig load_config(const std::string& file, const std::vector<std::string>& overrides,
                         const Surroundings& world) {
    Faults faults;
    std::vector<IniSection> inis = read_ini(file, world, faults);
    if (inis.empty() && !faults.empty())
        return {nullptr, faults.list(), ""}; // the file itself: all else would follow from it
    apply_overrides(overrides, inis, faults);
    std::vector<Section> sections = parse_sections(inis, world, faults);
    Checker(sections, faults).check(file);
    fill_defaults(sections, faults);
    Endpoints endpoints;
    const Authorities authorities = make_authorities(sections, world, endpoints, faults);
    std::vector<TlsSection> tls = make_tls(sections, world, faults);
    std::vector<HookSettings> hooks = make_hooks(sections, world, faults);
    std::vector<BrokerSettings> brokers = make_broker_settings(sections, world, faults);
    std::shared_ptr<Config> config;
    if (faults.empty()) {
        config = build(file, sections, authorities, std::move(endpoints), std::move(tls));
        config->hooks = std::move(hooks);
        config->brokers = std::move(brokers);
    }
    wipe_secrets(inis);
    wipe_secrets(sections);
    return {config, faults.list(), config ? effective_text(sections) : ""};
}

} // namespace fanhorn
