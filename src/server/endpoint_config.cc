// SPDX-License-Identifier: Apache-2.0
#include "server/endpoint_config.h"

#include "base/secret.h"

namespace fanhorn {

namespace {

// The value of a row of one text; "" where none is given.
std::string text_of(const Section& section, std::string_view key) {
    const auto& texts = section.setting(key).value.texts;
    return texts.empty() ? "" : texts[0];
}

void tell(const Section& section, const char* key, std::string_view text, Faults& faults) {
    const Item& where = section.setting(key).items.back();
    faults.add(where.place, std::string(key) + ": '" + where.shown() + "' " + std::string(text));
}

// What a row's file holds; nothing where none is given.
bool read_file(const Section& section, const char* key, const Surroundings& world,
               std::string& into, Faults& faults) {
    const std::string path = text_of(section, key);
    if (path.empty())
        return true;
    auto text = world.read(path);
    if (text && !text->empty()) {
        into = std::move(*text);
        return true;
    }
    tell(section, key, text ? "is empty" : "cannot be read: " + text.error(), faults);
    return false;
}

bool is_pair(const Section& section, Faults& faults) {
    const bool has_certificate = !text_of(section, "tls_certificate").empty();
    const bool has_key = !text_of(section, "tls_key").empty();
    if (has_certificate && !has_key)
        tell(section, "tls_certificate", "needs 'tls_key'", faults);
    if (has_key && !has_certificate)
        tell(section, "tls_key", "needs 'tls_certificate'", faults);
    return has_certificate == has_key;
}

} // namespace

std::shared_ptr<const ClientTls> make_client_tls(const Section& section, const Surroundings& world,
                                                 Faults& faults) {
    ClientTlsSettings read;
    if (!is_pair(section, faults) ||
        !read_file(section, "tls_ca", world, read.authorities, faults) ||
        !read_file(section, "tls_certificate", world, read.certificate, faults) ||
        !read_file(section, "tls_key", world, read.key, faults))
        return nullptr;
    auto made = ClientTls::make(read);
    wipe(read.key);
    if (const auto* fault = std::get_if<TlsFault>(&made)) {
        tell(section, fault->key, fault->text, faults);
        return nullptr;
    }
    return std::get<std::shared_ptr<const ClientTls>>(std::move(made));
}

void refuse_client_tls(const Section& section, std::string_view why, Faults& faults) {
    for (const char* key : {"tls_ca", "tls_certificate", "tls_key"})
        if (!text_of(section, key).empty())
            tell(section, key, why, faults);
}

std::optional<Endpoint> make_endpoint(const Section& section, const Surroundings& world,
                                      Faults& faults) {
    const std::string url = text_of(section, "url");
    auto endpoint = find_endpoint(url, world);
    if (!endpoint) {
        faults.add(section.setting("url").place, "url: " + endpoint.error());
        return std::nullopt;
    }
    if (!is_secure_endpoint(url)) {
        refuse_client_tls(section, "is for an https 'url'", faults);
        return *endpoint;
    }
    endpoint->destination.tls = make_client_tls(section, world, faults);
    if (!endpoint->destination.tls)
        return std::nullopt;
    return *endpoint;
}

} // namespace fanhorn
