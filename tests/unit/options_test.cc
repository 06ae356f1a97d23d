// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "modules/modules.h"
#include "server/config.h"
#include "server/ini.h"
#include "server/options.h"
#include "server/reference.h"
#include "server/surroundings.h"
#include "server/values.h"
#include "server/words.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "certificate_maker.h"
#include "fake_surroundings.h"

#include "test.h"

using namespace fanhorn;

static const Row& row_of(std::string_view type, std::string_view key) {
    const SectionType* section = find_section_type(type);
    assert_row(type, section != nullptr);
    size_t index = find_row(*section, key);
    assert_row(key, index < section->rows.size());
    return section->rows[index];
}

// One instance of each settings struct, to be stored into through the rows.
struct Everything {
    ServerSettings server;
    LogSettings log;
    LimitSettings limits;
    TlsSection tls;
    ListenerSettings listener;
    BrokerSettings broker;
    AuthSettings auth;
    HookSettings hooks;
    ChannelSettings channel;

    void* of(std::string_view type) {
        return type == "server"     ? static_cast<void*>(&server)
               : type == "log"      ? static_cast<void*>(&log)
               : type == "limits"   ? static_cast<void*>(&limits)
               : type == "tls"      ? static_cast<void*>(&tls)
               : type == "listener" ? static_cast<void*>(&listener)
               : type == "broker"   ? static_cast<void*>(&broker)
               : type == "auth"     ? static_cast<void*>(&auth)
               : type == "hooks"    ? static_cast<void*>(&hooks)
                                    : static_cast<void*>(&channel);
    }
};

static void defaults_are_those_of_the_structs(void**) {
    Everything everything;
    for (const SectionType& type : section_types())
        for (const Row& row : type.rows)
            if (row.preset)
                assert_text(std::string(row.name) + " = " +
                                format_value(row, row.binding.load(everything.of(type.type))),
                            std::string(row.name) + " = " + format_value(row, default_value(row)));
}

// A bound that the member's own type cannot hold would be cut without a word.
static void bounds_fit_their_members(void**) {
    Everything everything;
    for (const SectionType& type : section_types())
        for (const Row& row : type.rows) {
            if (bounds_text(row).empty())
                continue;
            for (uint64_t number : {row.min, row.max}) {
                row.binding.store(everything.of(type.type), Value{number, {}});
                assert_row(row.name, row.binding.load(everything.of(type.type)).number == number);
            }
        }
}

constexpr std::string_view kLeftOut = "was left out of this build";

static void choices_fit_their_members(void**) {
    Everything everything;
    for (const SectionType& type : section_types())
        for (const Row& row : type.rows)
            for (std::string_view word : words_of(row.choices)) {
                Value value;
                const auto added = add_item(row, word, value);
                if (added.error() == kLeftOut)
                    continue;
                assert_row(row.name, added.ok());
                row.binding.store(everything.of(type.type), value);
                assert_text(format_value(row, row.binding.load(everything.of(type.type))), word);
            }
    ChannelSettings channel;
    auto set = [&](const char* key, const char* word) {
        Value value;
        assert_row(key, add_item(row_of("channel", key), word, value).ok());
        row_of("channel", key).binding.store(&channel, value);
    };
    set("client_publish", "public");
    assert_true(channel.client_publish.is_public() && !channel.client_publish.is_denied());
    set("client_publish", "off");
    assert_true(channel.client_publish.is_denied() && !channel.client_publish.is_public());
    set("subscribe", "deny");
    assert_true(channel.subscribe.is_denied() && !channel.subscribe.is_public());
    set("subscribe", "users");
    assert_false(channel.subscribe.is_denied() || channel.subscribe.is_public());
    set("slow_consumer", "disconnect");
    assert_true(channel.slow_consumer == SlowConsumer::Disconnect);
}

static std::string source_file(const std::string& path) {
    auto text = SystemSurroundings().read(FANHORN_SOURCE_DIR "/" + path);
    assert_row(path, text.ok());
    return *text;
}

// FANHORN_UPDATE_MAN=1 writes the reference part of the page anew instead.
static void manual_page_has_the_reference(void**) {
    const std::string path = "man/fanhorn.conf.5", page = source_file(path);
    const std::string begin = ".\\\" reference: begin\n", end = ".\\\" reference: end\n";
    size_t from = page.find(begin), to = page.find(end);
    assert_true(from != std::string::npos && to != std::string::npos);
    from += begin.size();
    if (std::getenv("FANHORN_UPDATE_MAN")) {
        std::ofstream(FANHORN_SOURCE_DIR "/" + path)
            << page.substr(0, from) << option_reference() << page.substr(to);
        return;
    }
    assert_text(page.substr(from, to - from), option_reference());
}

static void every_row_is_documented(void**) {
    const std::string page = source_file("man/fanhorn.conf.5");
    for (const SectionType& type : section_types()) {
        assert_row(type.title, page.find(".Ss The [" + std::string(type.title) + "] section\n") !=
                                   std::string::npos);
        for (const Row& row : type.rows)
            assert_row(row.name,
                       page.find(".It Ic " + std::string(row.name) + " ") != std::string::npos);
    }
}

// The shipped file with the ';' taken off every key and section that is not set.
static std::string with_everything_set(const std::string& text) {
    std::string result;
    for (std::string_view line : split(text, '\n')) {
        bool off = line.size() > 1 && line[0] == ';' && line[1] != ' ';
        result += std::string(off ? line.substr(1) : line) + "\n";
    }
    return result;
}

static void shipped_file_shows_every_key(void**) {
    const std::string text = source_file("conf/fanhorn.conf");
    const Certified certified = Certified::make("relay", "DNS:relay.example");
    FakeSurroundings world;
    world.files = {{"set", with_everything_set(text)},
                   {"shipped", text},
                   {"/etc/fanhorn/tls/fullchain.pem", certified.certificate},
                   {"/etc/fanhorn/tls/key.pem", certified.key},
                   {"/etc/fanhorn/users.pem", SigningKey::ed25519().public_pem()},
                   {"/etc/fanhorn/backend.token", "0123456789abcdef\n"},
                   {"/etc/fanhorn/hooks.secret", std::string(32, 's')}};
    assert_true(load_config("shipped", {}, world).errors.empty());
    auto set = load_config("set", {}, world);
    if (find_broker_module("redis"))
        assert_text(set.errors.empty() ? "" : set.errors[0], "");
    else
        assert_true(set.errors.size() == 1 && set.errors[0].ends_with(kLeftOut));

    Faults faults;
    std::vector<std::string> shown; // "server.workers = auto"
    for (const IniSection& section : read_ini("set", world, faults))
        for (const IniEntry& entry : section.entries)
            shown.push_back(section.type + "." + entry.key + " = " + entry.value);
    for (const SectionType& type : section_types()) {
        if (type.naming == Naming::Pattern)
            continue; // the rows of [defaults channel]
        for (const Row& row : type.rows) {
            std::string key = std::string(type.type) + "." + row.name + " = ";
            std::string line = row.preset ? key + row.preset : key;
            assert_row(line, std::any_of(shown.begin(), shown.end(), [&](const std::string& one) {
                           return row.preset && row.preset[0] ? one == line : one.starts_with(line);
                       }));
        }
    }
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_structs),
        cmocka_unit_test(bounds_fit_their_members),
        cmocka_unit_test(choices_fit_their_members),
        cmocka_unit_test(manual_page_has_the_reference),
        cmocka_unit_test(every_row_is_documented),
        cmocka_unit_test(shipped_file_shows_every_key),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
