// SPDX-License-Identifier: Apache-2.0
#include "server/broker_config.h"

#include "modules/nats_url.h"
#include "modules/redis_url.h"
#include "server/endpoint_config.h"

#include <algorithm>

namespace fanhorn {

namespace {

class BrokerChecker {
  public:
    BrokerChecker(const Section& section, Faults& faults) : section_(section), faults_(faults) {}

    void check() {
        if (section_.setting("type").state == Setting::State::Faulty)
            return; // its keys may be right for what was meant
        const std::string type = text("type", "local"), mode = text("mode", "single");
        for (const char* key : {"sentinels", "master"})
            only_for(key, type, "redis");
        only_for("path", type, "local");
        if (type == "local")
            for (const char* key : {"url", "tls_ca", "tls_certificate", "tls_key"})
                if (!text(key).empty())
                    tell(key, "is of type redis or nats, and this is local");
        if (type != "redis" && mode != "single")
            tell("mode", "is of type redis, and this is " + type);
        if (type == "nats")
            check_nats();
        if (type != "redis")
            return;
        check_sentinels(mode);
        check_url(mode);
        if (mode == "cluster" && text("prefix").find_first_of("{}") != std::string::npos)
            tell("prefix", "may have no { and } in a cluster");
    }

  private:
    // As it was given, or else `preset`.
    std::string text(std::string_view key, std::string_view preset = "") const {
        const auto& items = section_.setting(key).items;
        return items.empty() ? std::string(preset) : items.back().text;
    }

    void tell(const char* key, const std::string& what) {
        faults_.add(section_.setting(key).items.back().place, std::string(key) + ": " + what);
    }

    void only_for(const char* key, const std::string& type, const std::string& its_type) {
        if (!text(key).empty() && type != its_type)
            tell(key, "is of type " + its_type + ", and this is " + type);
    }

    // Which is missing, but for what is told to be wrong already.
    void need(const char* key, const std::string& what) {
        const Setting& setting = section_.setting(key);
        if (text(key).empty() && setting.state != Setting::State::Faulty)
            faults_.add(section_.place, section_.title() + ": " + what);
    }

    void check_sentinels(const std::string& mode) {
        if (mode == "sentinel") {
            need("sentinels", "mode sentinel needs 'sentinels', where they are");
            need("master", "mode sentinel needs 'master', by which name they know the server");
            return;
        }
        for (const char* key : {"sentinels", "master"})
            if (!text(key).empty())
                tell(key, "is for mode = sentinel, and this is " + mode);
    }

    void check_url(const std::string& mode) {
        if (mode != "sentinel")
            need("url", "type redis needs 'url', where the Redis server is");
        if (is_nats_url(text("url")))
            tell("url", "of type redis begins with redis://, rediss:// or unix:");
        const auto url = parse_redis_url(text("url"));
        if (url && mode != "single" && !url->path.empty())
            tell("url", "no unix socket leads to a mode = " + mode);
        if (url && mode == "cluster" && !url->database.empty())
            tell("url", "a cluster has no databases");
        if (url && mode != "cluster" && url->hosts.size() > 1)
            tell("url", "several hosts are for mode = cluster, and this is " + mode);
    }

    void check_nats() {
        need("url", "type nats needs 'url', where the NATS server is");
        if (!text("url").empty() && !is_nats_url(text("url")))
            tell("url", "of type nats begins with nats:// or tls://");
        if (!text("prefix").empty() && !is_nats_name(text("prefix")))
            tell("prefix", "of type nats has letters, digits, - and _");
    }

    const Section& section_;
    Faults& faults_;
};

} // namespace

void check_broker(const Section& section, Faults& faults) {
    BrokerChecker(section, faults).check();
}

std::vector<BrokerSettings> make_broker_settings(const std::vector<Section>& sections,
                                                 const Surroundings& world, Faults& faults) {
    std::vector<BrokerSettings> made;
    for (const Section& section : sections) {
        if (section.type->type != std::string_view("broker") || !section.is_whole())
            continue;
        BrokerSettings& broker =
            made.emplace_back(BrokerSettings{section.name, section.place.text()});
        for (size_t i = 0; i < section.settings.size(); ++i)
            section.type->rows[i].binding.store(&broker, section.settings[i].value);
        if (broker.type == "nats" && section.setting("prefix").items.empty())
            broker.prefix = "fanhorn";
        if (broker.url.starts_with("rediss://") || broker.url.starts_with("tls://"))
            broker.tls = make_client_tls(section, world, faults);
        else
            refuse_client_tls(section, "is for a rediss or tls 'url'", faults);
    }
    return made;
}

} // namespace fanhorn
