// SPDX-License-Identifier: Apache-2.0
#include "server/tls_config.h"

#include "base/secret.h"
#include "net/tls_context.h"
#include "server/words.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr uint8_t kTls12 = 1, kTls13 = 2; // bits of the row `protocols`

bool is_tls(const Section& section) {
    return section.type->type == std::string_view("tls");
}

// Makes one section's context; what is wrong goes to the line of the file that it is in.
class ContextMaker {
  public:
    ContextMaker(const Section& section, const TlsSection& settings, const Surroundings& world,
                 Faults& faults)
        : section_(section), settings_(settings), world_(world), faults_(faults) {}

    ~ContextMaker() {
        for (TlsSettings::Pair& pair : read_.pairs)
            wipe(pair.key);
        for (std::string& key : read_.ticket_keys)
            wipe(key);
    }

    std::shared_ptr<const TlsContext> make() {
        if (!check_pairs() || !read_files())
            return nullptr;
        auto made = TlsContext::make(read_);
        if (const auto* fault = std::get_if<TlsFault>(&made)) {
            tell(fault->key, fault->item, fault->text);
            return nullptr;
        }
        return std::get<std::shared_ptr<const TlsContext>>(std::move(made));
    }

  private:
    void tell(const char* key, size_t item, const std::string& text) {
        const Item& where = section_.setting(key).items[item];
        faults_.add(where.place, std::string(key) + ": '" + where.shown() + "' " + text);
    }

    bool check_pairs() {
        const size_t certificates = settings_.certificates.size(), keys = settings_.keys.size();
        if (certificates > keys)
            tell("certificate", keys,
                 "has no key; give a 'key' for each certificate, in the same order");
        else if (keys > certificates)
            tell("key", certificates,
                 "has no certificate; give one for each key, in the same order");
        return certificates == keys;
    }

    // All of them, so that all that is missing is told at once.
    bool read_files() {
        bool is_good = true;
        const auto read = [&](const char* key, size_t item, const std::string& path) {
            auto text = world_.read(path);
            if (text)
                return std::move(*text);
            tell(key, item, "cannot be read: " + text.error());
            is_good = false;
            return std::string();
        };
        for (size_t i = 0; i < settings_.certificates.size(); ++i)
            read_.pairs.push_back({.certificate = read("certificate", i, settings_.certificates[i]),
                                   .key = read("key", i, settings_.keys[i])});
        for (size_t i = 0; i < settings_.ticket_keys.size(); ++i)
            read_.ticket_keys.push_back(read("ticket_key", i, settings_.ticket_keys[i]));
        if (!settings_.client_ca.empty())
            read_.client_ca = read("client_ca", 0, settings_.client_ca);
        if (is_good && !settings_.client_ca.empty() && read_.client_ca.empty()) {
            tell("client_ca", 0, "is empty");
            is_good = false;
        }
        read_.name = settings_.name;
        read_.has_tls12 = settings_.protocols & kTls12;
        read_.has_tls13 = settings_.protocols & kTls13;
        read_.ciphers = settings_.ciphers;
        read_.groups = settings_.groups;
        return is_good;
    }

    const Section& section_;
    const TlsSection& settings_;
    const Surroundings& world_;
    Faults& faults_;
    TlsSettings read_;
};

} // namespace

void check_tls_name(const Section& listener, const std::vector<Section>& sections, Faults& faults) {
    std::vector<std::string_view> names;
    for (const Section& other : sections)
        if (is_tls(other))
            names.push_back(other.name);
    for (const Item& item : listener.setting("tls").items)
        if (!item.text.empty() && std::find(names.begin(), names.end(), item.text) == names.end())
            faults.add(item.place, "tls: there is no [tls " + item.shown() + "]" +
                                       did_you_mean(item.text, names));
}

std::vector<TlsSection> make_tls(const std::vector<Section>& sections, const Surroundings& world,
                                 Faults& faults) {
    std::vector<TlsSection> made;
    for (const Section& section : sections) {
        if (!is_tls(section) || !section.is_whole())
            continue;
        TlsSection& tls = made.emplace_back();
        for (size_t i = 0; i < section.settings.size(); ++i)
            section.type->rows[i].binding.store(&tls, section.settings[i].value);
        tls.name = section.name;
        tls.context = ContextMaker(section, tls, world, faults).make();
    }
    return made;
}

std::shared_ptr<const TlsContext> find_tls(const std::vector<TlsSection>& sections,
                                           std::string_view name) {
    for (const TlsSection& section : sections)
        if (section.name == name)
            return section.context;
    return nullptr;
}

} // namespace fanhorn
