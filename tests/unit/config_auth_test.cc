// SPDX-License-Identifier: Apache-2.0
// [auth] sections: what they become, who names them, what is wrong with them, and what of them is
// never shown.
#include "load_text.h"
#include "relay/identity.h"
#include "server/sections.h"
#include "token_maker.h"

#include "test.h"

using namespace fanhorn;

static const std::string kSecret = "a secret of more than 32 bytes, for HS256";

static LoadedConfig load_with(const std::string& text) {
    FakeSurroundings world;
    world.variables = {{"SECRET", kSecret}};
    world.files = {{"f", kListener + text},
                   {"/good.pem", SigningKey::ec("P-256").public_pem()},
                   {"/bad.pem", "-----BEGIN PUBLIC KEY-----\n"},
                   {"/private.pem", SigningKey::ed25519().private_pem()},
                   {"/set.jwks", R"({"keys":[]})"},
                   {"/secret", kSecret + "\n"},
                   {"/token", "0123456789abcdef\n"}};
    return load_config("f", {}, world);
}

static void check_bad(const std::string& text, const std::string& errors) {
    LoadedConfig loaded = load_with(text);
    assert_text(lines(loaded.errors), errors);
    assert_null(loaded.config.get());
}

static void names_lead_to_sections(void**) {
    LoadedConfig loaded = load_with("auth = backend\n"
                                    "[defaults channel]\nsubscribe = users\n[channel a]\n"
                                    "[channel b]\nsubscribe = public\nclient_publish = users\n"
                                    "[auth users]\ntype = jwt\nkeys = /good.pem\ncookie = token\n"
                                    "[auth backend]\ntype = bearer\ntokens = ${file:/token}\n");
    assert_text(lines(loaded.errors), "");
    const Config& config = *loaded.config;
    const ChannelSettings& a = *config.settings_for("a");
    const ChannelSettings& b = *config.settings_for("b");
    assert_text(a.subscribe.authority->name(), "users");
    assert_text(a.subscribe.authority->cookie(), "token");
    assert_ptr_equal(a.subscribe.authority.get(), b.client_publish.authority.get());
    assert_null(a.client_publish.authority.get());
    assert_null(b.subscribe.authority.get());
    assert_text(config.listeners[0].authority->name(), "backend");
    const auto found = config.listeners[0].authority->identify("0123456789abcdef", 0);
    assert_true(std::holds_alternative<IdentityRef>(found));
}

static void names_that_lead_nowhere(void**) {
    const std::string users = "[auth users]\ntype = jwt\nkeys = /good.pem\n";
    check_bad("[channel a]\nsubscribe = user\n" + users,
              "f:5: subscribe: there is no [auth user]; did you mean 'users'?\n");
    check_bad("[channel a]\nsubscribe = pubic\nclient_publish = of\n" + users,
              "f:5: subscribe: there is no [auth pubic]; did you mean 'public'?\n"
              "f:6: client_publish: there is no [auth of]; did you mean 'off'?\n");
    check_bad("[channel a]\nsubscribe = off\nclient_publish = deny\n",
              "f:5: subscribe: there is no [auth off]\n"
              "f:6: client_publish: there is no [auth deny]\n");
    check_bad("auth = public\n", "f:4: auth: there is no [auth public]\n");
    check_bad("[channel a]\nsubscribe =\n", "f:5: 'subscribe' needs a value\n");
    // Told once, where it stands.
    check_bad("[defaults channel]\nsubscribe = x\n[channel a]\n[channel b]\n",
              "f:5: subscribe: there is no [auth x]\n");
    check_bad("[auth deny]\ntype = bearer\ntokens = ${file:/token}\n",
              "f:4: [auth deny]: this name means something else where sections are referred to\n");
}

static void keys_and_secrets(void**) {
    const std::string jwt = "[auth a]\ntype = jwt\n";
    check_bad(jwt, "f:5: type: jwt needs 'secret' or 'keys', and not both\n");
    check_bad(jwt + "keys = /no.pem\n", "f:6: keys: '/no.pem': No such file or directory\n");
    check_bad(jwt + "keys = /good.pem\n  /bad.pem\n",
              "f:7: keys: '/bad.pem' is cut off: a PUBLIC KEY block has no end\n");
    check_bad(jwt + "keys = /private.pem\n",
              "f:6: keys: '/private.pem' holds a private key; what checks tokens needs the public "
              "one only\n");
    check_bad(jwt + "keys = /set.jwks\n",
              "f:6: keys: '/set.jwks' has no key that checks signatures\n");
    check_bad(jwt + "keys = /good.pem\nalgorithms = ES256, RS256\n",
              "f:7: algorithms: RS256 fits none of the section's keys\n");
    check_bad(jwt + "secret = changeme\n",
              "f:6: secret: the secret is shorter than 32 bytes (RFC 7518 section 3.2)\n");
    check_bad(jwt + "keys = /good.pem\ntokens = ${file:/token}\n",
              "f:7: 'tokens' is not a key of type = jwt\n");
    check_bad("[auth a]\ntype = bearer\n", "f:5: type: bearer needs 'tokens'\n");
    check_bad("[auth a]\ntype = bearer\ntokens = ${file:/token}\nissuer = x\n",
              "f:7: 'issuer' is not a key of type = bearer\n");
    check_bad("[auth a]\ntype = bearer\ntokens = ${file:/token}, password\n",
              "f:6: tokens: a token has at least 16 of the letters, digits and -._~+/ (RFC 6750 "
              "section 2.1)\n");
}

// Neither in -T nor in an error, however it was written.
static void secrets_are_masked(void**) {
    for (const std::string& written :
         {kSecret, std::string("${SECRET}"), std::string("${file:/secret}"),
          "${NO:-" + kSecret + "}", kSecret + "${SECRET}", "${SECRET}" + kSecret + "${SECRET}"}) {
        LoadedConfig loaded = load_with("[auth a]\ntype = jwt\nsecret = " + written + "\n");
        assert_text(lines(loaded.errors), "");
        assert_true(loaded.effective.find("32 bytes") == std::string::npos);
        const bool is_name = written == "${SECRET}" || written == "${file:/secret}";
        const std::string shown = is_name ? written : Item::kMask;
        assert_true(loaded.effective.find("secret              = " + shown + " ") !=
                    std::string::npos);
    }
    const std::string other = "0123456789abcdefghi";
    LoadedConfig loaded =
        load_with("[auth a]\ntype = bearer\ntokens = " + other + " ${file:/token}\n");
    assert_true(loaded.effective.find("********, ${file:/token}") != std::string::npos);
    assert_true(loaded.effective.find("0123") == std::string::npos);
    for (const std::string& bad :
         {"tokens = " + other + ", " + other + "\n", "secret = " + other + "\n  " + other + "\n",
          "secret = " + std::string(20, 'x') + other + "\n"}) {
        loaded = load_with("[auth a]\ntype = bearer\n" + bad);
        assert_false(loaded.errors.empty());
        assert_true(lines(loaded.errors).find("0123") == std::string::npos);
    }
}

// What -T prints means the same when it is read again, as long as no secret was in the file.
static void effective_loads_again(void**) {
    const std::string text = "auth = b\n[auth a]\ntype = jwt\nsecret = ${file:/secret}\n"
                             "[auth b]\ntype = bearer\ntokens = ${file:/token}\n"
                             "[channel a]\nsubscribe = a\n";
    LoadedConfig loaded = load_with(text);
    assert_text(lines(loaded.errors), "");
    FakeSurroundings world;
    world.files = {{"f", loaded.effective}, {"/secret", kSecret}, {"/token", "0123456789abcdef\n"}};
    LoadedConfig again = load_config("f", {}, world);
    assert_text(lines(again.errors), "");
    assert_true(again.effective.find(Item::kMask) == std::string::npos);
    assert_text(again.config->settings_for("a")->subscribe.authority->name(), "a");
    assert_true(explain_channel(*again.config, "a").find("subscribe           = a\n") !=
                std::string::npos);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_sections), cmocka_unit_test(names_that_lead_nowhere),
        cmocka_unit_test(keys_and_secrets),       cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(effective_loads_again),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
