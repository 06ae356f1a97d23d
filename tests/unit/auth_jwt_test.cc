// SPDX-License-Identifier: Apache-2.0
// What a token gives, and every token that must not be believed.
#include "modules/auth_jwt.h"
#include "modules/modules.h"
#include "token_maker.h"

#include "test.h"

using namespace fanhorn;

static const std::string kSecret = "a secret of more than 32 bytes, for HS256";
constexpr Millis kNow = 1'800'000'000'000;

static std::string claims(const std::string& more = "") {
    return R"({"sub":"alice","exp":1800000060,"channels":["chat:*","news"],"publish":["chat:*"])" +
           more + "}";
}

static AuthSettings settings() {
    AuthSettings settings;
    settings.name = "users";
    return settings;
}

static AuthSettings with_secret() {
    AuthSettings each = settings();
    each.secret = kSecret;
    return each;
}

static AuthSettings with_keys(const std::vector<std::string>& texts) {
    AuthSettings each = settings();
    for (const std::string& text : texts) {
        each.keys.push_back("/key" + std::to_string(each.keys.size()));
        each.key_texts.push_back(text);
    }
    return each;
}

static std::shared_ptr<const Authority> made(AuthSettings each) {
    auto authority = JwtAuthority::create(std::move(each));
    if (const auto* fault = std::get_if<AuthFault>(&authority))
        fail_msg("%s", fault->text.c_str());
    return std::get<std::shared_ptr<const Authority>>(authority);
}

static std::string fault_of(AuthSettings each) {
    auto authority = JwtAuthority::create(std::move(each));
    const auto* fault = std::get_if<AuthFault>(&authority);
    return fault ? std::string(fault->key) + "[" + std::to_string(fault->item) + "]: " + fault->text
                 : "";
}

// "" when it is accepted, else "why: detail".
static std::string told(const Authority& authority, const std::string& token, Millis now = kNow) {
    const auto found = authority.identify(token, now);
    const auto* refusal = std::get_if<TokenRefusal>(&found);
    return refusal ? std::string(auth_refusal_name(refusal->why)) + ": " + refusal->detail : "";
}

static IdentityRef accepted(const Authority& authority, const std::string& token,
                            Millis now = kNow) {
    assert_text(told(authority, token, now), "");
    return std::get<IdentityRef>(authority.identify(token, now));
}

static void what_a_token_gives(void**) {
    auto authority = made(with_secret());
    const std::string more = R"(,"info":{"name" : "Al\u00edce"},"other":[1])";
    IdentityRef alice = accepted(*authority, secret_token(kSecret, claims(more)));
    assert_text(alice->authority, "users");
    assert_text(alice->user, "alice");
    assert_text(alice->info, R"({"name" : "Al\u00edce"})");
    assert_int_equal(alice->expires, 1'800'000'065'000);
    assert_true(alice->may_read("chat:a") && alice->may_read("news"));
    assert_false(alice->may_read("chat:a:b") || alice->may_read("other"));
    assert_true(alice->may_write("chat:a"));
    assert_false(alice->may_write("news") || alice->may_write_all());
}

static void what_a_token_may_lack(void**) {
    auto authority = made(with_secret());
    IdentityRef nobody = accepted(*authority, secret_token(kSecret, R"({"exp":1800000060})"));
    assert_text(nobody->user, "");
    assert_text(nobody->info, "");
    assert_false(nobody->may_read("a") || nobody->may_write("a"));
    IdentityRef one =
        accepted(*authority, secret_token(kSecret, R"({"exp":1.8e9,"channels":"a"})"), kNow - 1);
    assert_true(one->may_read("a"));
    AuthSettings lasting = with_secret();
    lasting.require_expiry = false;
    IdentityRef ever = accepted(*made(lasting), secret_token(kSecret, "{}"));
    assert_int_equal(ever->expires, 0);
    assert_false(ever->is_expired(INT64_MAX));
}

static void other_claims(void**) {
    AuthSettings each = with_secret();
    each.user_claim = "uid";
    each.channels_claim = "https://example.com/read";
    each.publish_claim = "w";
    each.info_claim = "profile";
    IdentityRef identity = accepted(
        *made(each),
        secret_token(kSecret, R"({"exp":1800000060,"uid":"bob","sub":"eve","channels":["x"],)"
                              R"("https:\/\/example.com\/read":["a"],"w":["b"],"profile":null})"));
    assert_text(identity->user, "bob");
    assert_text(identity->info, "null");
    assert_true(identity->may_read("a") && identity->may_write("b"));
    assert_false(identity->may_read("x"));
}

static void reserved_channels(void**) {
    auto authority = made(with_secret());
    const auto with = [&](const std::string& patterns) {
        return accepted(*authority, secret_token(kSecret, R"({"sub":"al","exp":1800000060,)"
                                                          R"("channels":)" +
                                                              patterns + "}"));
    };
    assert_true(with("[]")->may_read("$user:al"));
    assert_false(with(R"(["**","*:*"])")->may_read("$user:bob"));
    assert_false(with("[]")->may_read("$user:"));
    assert_true(with(R"(["$user:bob"])")->may_read("$user:bob"));
}

static void every_algorithm(void**) {
    const SigningKey rsa = SigningKey::rsa();
    const SigningKey p256 = SigningKey::ec("P-256");
    const SigningKey p384 = SigningKey::ec("P-384");
    const SigningKey ed = SigningKey::ed25519();
    auto pem =
        made(with_keys({rsa.public_pem(), p256.public_pem() + p384.public_pem(), ed.public_pem()}));
    const std::string jwks =
        R"({"keys":[{"kty":"RSA","n":")" + rsa.number("n") + R"(","e":"AQAB"},)" +
        R"({"kty":"EC","crv":"P-256","x":")" + p256.number("qx", 32) + R"(","y":")" +
        p256.number("qy", 32) + R"("},{"kty":"EC","crv":"P-384","x":")" + p384.number("qx", 48) +
        R"(","y":")" + p384.number("qy", 48) + R"("},{"kty":"OKP","crv":"Ed25519","x":")" +
        ed.raw() + R"("},{"kty":"oct","k":")" + base64url(kSecret) + R"("}]})";
    auto jwk = made(with_keys({jwks}));
    const struct {
        const SigningKey& key;
        const char* algorithm;
    } rows[] = {{rsa, "RS256"}, {rsa, "PS256"}, {p256, "ES256"}, {p384, "ES384"}, {ed, "EdDSA"}};
    for (const auto& row : rows) {
        const std::string token = key_token(row.key, row.algorithm, claims());
        accepted(*pem, token);
        accepted(*jwk, token);
        std::string other = token;
        other[other.size() / 2] = other[other.size() / 2] == 'A' ? 'B' : 'A';
        assert_row(row.algorithm, told(*pem, other) != "");
    }
    accepted(*jwk, secret_token(kSecret, claims()));
    assert_text(told(*pem, secret_token(kSecret, claims())),
                "key: the token's algorithm is not one of 'algorithms'");
}

static void longer_digests(void**) {
    const std::string secret(64, 's');
    AuthSettings each = settings();
    each.secret = secret;
    auto authority = made(each);
    for (const auto& [name, digest] : {std::pair("HS384", EVP_sha384()), {"HS512", EVP_sha512()}}) {
        const std::string text = signed_part("{\"alg\":\"" + std::string(name) + "\"}", claims());
        accepted(*authority, text + "." + base64url(hmac(digest, secret, text)));
    }
    each.algorithms = {"HS512"};
    assert_text(told(*made(each), secret_token(secret, claims())),
                "key: the token's algorithm is not one of 'algorithms'");
}

static void times(void**) {
    auto authority = made(with_secret());
    const auto at = [&](const char* json, Millis now) {
        return told(*authority, secret_token(kSecret, json), now);
    };
    const char* ends = R"({"exp":1800000000})";
    assert_text(at(ends, kNow - 1), "");
    assert_text(at(ends, kNow + 4999), "");
    assert_text(at(ends, kNow + 5000), "expired: the token expired 5 s ago");
    assert_text(at(ends, kNow + 12'000), "expired: the token expired 12 s ago");
    assert_text(at(ends, kNow + 300'000), "expired: the token expired 5 min ago");
    assert_text(at(ends, kNow + 7'200'000), "expired: the token expired 2 h ago");
    assert_text(at(ends, kNow + 864'000'000), "expired: the token expired 10 d ago");
    const char* begins = R"({"exp":1900000000,"nbf":1800000000.5})";
    assert_text(at(begins, kNow + 500), "");
    assert_text(at(begins, kNow - 4500), "");
    assert_text(at(begins, kNow - 4501), "early: the token is not valid for another 5 s");
    assert_text(at(R"({"exp":0})", kNow), "expired: the token expired 20833 d ago");
    for (const char* bad :
         {R"({"exp":"1900000000"})", R"({"exp":-1})", R"({"exp":1e12})", R"({"exp":1e400})",
          R"({"exp":null})", R"({"exp":[1900000000]})", R"({"exp":true})",
          R"({"exp":1900000000,"nbf":"x"})", R"({"exp":1900000000,"nbf":-1})"})
        assert_text(at(bad, kNow), "claims: the token's 'exp' or 'nbf' is not a date");
    assert_text(at("{}", kNow), "claims: the token has no 'exp', so that it would never end");
}

static void audience_and_issuer(void**) {
    AuthSettings each = with_secret();
    each.audience = {"push", "chat"};
    each.issuer = "https://id.example.com";
    auto authority = made(each);
    const auto with = [&](const std::string& more) {
        return told(*authority, secret_token(kSecret, claims(more)));
    };
    const std::string issuer = R"(,"iss":"https://id.example.com")";
    const std::string no_audience = "claims: the token's 'aud' names none of 'audience'";
    const std::string no_issuer = "claims: the token's 'iss' is not 'issuer'";
    assert_text(with(issuer + R"(,"aud":"chat")"), "");
    assert_text(with(issuer + R"(,"aud":["other","push"])"), "");
    assert_text(with(issuer + R"(,"aud":["other"])"), no_audience);
    assert_text(with(issuer + R"(,"aud":[])"), no_audience);
    assert_text(with(issuer + R"(,"aud":"push,chat")"), no_audience);
    assert_text(with(issuer + R"(,"aud":"PUSH")"), no_audience);
    assert_text(with(issuer + R"(,"aud":["push",1])"), no_audience);
    assert_text(with(issuer + R"(,"aud":{"push":"push"})"), no_audience);
    assert_text(with(issuer), no_audience);
    assert_text(with(R"(,"aud":"push")"), no_issuer);
    assert_text(with(R"(,"aud":"push","iss":"https://id.example.com/")"), no_issuer);
    assert_text(with(R"(,"aud":"push","iss":["https://id.example.com"])"), no_issuer);
    // A token that is for somebody is not for whoever has no name (RFC 7519 section 4.1.3).
    assert_text(told(*made(with_secret()), secret_token(kSecret, claims(R"(,"aud":"push")"))),
                no_audience);
}

static void key_ids(void**) {
    const SigningKey a = SigningKey::ec("P-256");
    const SigningKey b = SigningKey::ec("P-256");
    const auto jwk = [](const SigningKey& key, const std::string& more) {
        return R"({"kty":"EC","crv":"P-256","x":")" + key.number("qx", 32) + R"(","y":")" +
               key.number("qy", 32) + "\"" + more + "}";
    };
    auto authority = made(with_keys({R"({"keys":[)" + jwk(a, R"(,"kid":"a","use":"sig")") + "," +
                                     jwk(b, R"(,"kid":"b","key_ops":["verify"])") + "]}"}));
    const auto with = [&](const SigningKey& key, const char* more) {
        return told(*authority, key_token(key, "ES256", claims(), more));
    };
    assert_text(with(a, R"(,"kid":"a")"), "");
    assert_text(with(b, R"(,"kid":"b")"), "");
    assert_text(with(a, ""), "");
    assert_text(with(b, ""), "");
    assert_text(with(a, R"(,"kid":"b")"), "signature: the token's signature is wrong");
    const std::string none = "key: no key has the token's 'kid' and algorithm";
    assert_text(with(a, R"(,"kid":"c")"), none);
    assert_text(with(a, R"(,"kid":"")"), none);
    assert_text(with(a, R"(,"kid":"../../../../dev/null")"), none);
    assert_text(with(a, R"(,"kid":"a' OR '1'='1")"), none);
    assert_text(with(a, R"(,"kid":7)"), "malformed: the token's 'kid' is not a string");
    // Keys without an id are meant for all tokens.
    accepted(*made(with_keys({a.public_pem()})),
             key_token(a, "ES256", claims(), R"(,"kid":"whatever")"));
    // A key that names its algorithm has no other.
    const SigningKey rsa = SigningKey::rsa();
    auto pinned = made(
        with_keys({R"({"kty":"RSA","alg":"PS256","n":")" + rsa.number("n") + R"(","e":"AQAB"})"}));
    accepted(*pinned, key_token(rsa, "PS256", claims()));
    assert_text(told(*pinned, key_token(rsa, "RS256", claims())),
                "key: the token's algorithm is not one of 'algorithms'");
}

// Whatever is done to them, not one is believed.
static void hostile_tokens(void**) {
    const SigningKey rsa = SigningKey::rsa();
    const SigningKey ec = SigningKey::ec("P-256");
    const SigningKey foreign = SigningKey::ec("P-256");
    auto secret = made(with_secret());
    auto keys = made(with_keys({rsa.public_pem(), ec.public_pem()}));
    const std::string good = secret_token(kSecret, claims());
    const std::string text = good.substr(0, good.rfind('.'));
    const std::string signature = good.substr(good.rfind('.') + 1);
    const std::string payload = text.substr(text.find('.') + 1);
    const auto headed = [&](const std::string& header) {
        return secret_token(kSecret, claims(), header);
    };
    const auto claimed = [&](const std::string& json) { return secret_token(kSecret, json); };
    const std::string ec_good = key_token(ec, "ES256", claims());
    const std::string foreign_jwk = R"({"kty":"EC","crv":"P-256","x":")" +
                                    foreign.number("qx", 32) + R"(","y":")" +
                                    foreign.number("qy", 32) + "\"}";
    std::string many = "{\"exp\":1800000060";
    for (int i = 0; i < 400; ++i)
        many += ",\"c" + std::to_string(i) + "\":1";
    std::string deep = claims(",\"x\":" + std::string(40, '[') + std::string(40, ']'));

    struct Row {
        std::string name;
        std::string token;
        const Authority* authority;
    };
    const std::vector<Row> rows = {
        {"nothing", "", secret.get()},
        {"dots", "..", secret.get()},
        {"one part", payload, secret.get()},
        {"two parts", text, secret.get()},
        {"four parts", good + ".x", secret.get()},
        {"encrypted", good + ".x.y", secret.get()},
        {"no signature", text + ".", secret.get()},
        {"no payload", text.substr(0, text.find('.')) + ".." + signature, secret.get()},
        {"no header", "." + payload + "." + signature, secret.get()},
        {"alg none", signed_part(R"({"alg":"none"})", claims()) + ".", secret.get()},
        {"alg None", signed_part(R"({"alg":"None"})", claims()) + ".", secret.get()},
        {"alg nOnE, signed", headed(R"({"alg":"nOnE"})"), secret.get()},
        {"alg none, signed", headed(R"({"alg":"none"})"), secret.get()},
        {"alg in lower case", headed(R"({"alg":"hs256"})"), secret.get()},
        {"alg missing", headed("{}"), secret.get()},
        {"alg a number", headed(R"({"alg":256})"), secret.get()},
        {"alg a list", headed(R"({"alg":["HS256"]})"), secret.get()},
        {"alg null", headed(R"({"alg":null})"), secret.get()},
        {"alg twice", headed(R"({"alg":"none","alg":"HS256"})"), secret.get()},
        {"alg twice, escaped", headed(R"({"alg":"HS256","\u0061lg":"none"})"), secret.get()},
        {"alg of another digest", headed(R"({"alg":"HS384"})"), secret.get()},
        {"header a list", headed(R"(["HS256"])"), secret.get()},
        {"header no JSON", headed("HS256"), secret.get()},
        {"header cut off", headed(R"({"alg":"HS256")"), secret.get()},
        {"crit", headed(R"({"alg":"HS256","crit":["exp"],"exp":1})"), secret.get()},
        {"b64 by crit", headed(R"({"alg":"HS256","b64":false,"crit":["b64"]})"), secret.get()},
        {"crit empty", headed(R"({"alg":"HS256","crit":[]})"), secret.get()},
        {"RS256 key as a secret", secret_token(rsa.public_pem(), claims(), R"({"alg":"HS256"})"),
         keys.get()},
        {"RS256 token signed by secret",
         secret_token(rsa.public_pem(), claims(), R"({"alg":"RS256"})"), keys.get()},
        {"RS256 signature called PS256",
         [&] {
             const std::string part = signed_part(R"({"alg":"PS256"})", claims());
             return part + "." + base64url(rsa.sign("RS256", part));
         }(),
         keys.get()},
        {"key of the token's own", key_token(foreign, "ES256", claims(), ",\"jwk\":" + foreign_jwk),
         keys.get()},
        {"key by address",
         key_token(foreign, "ES256", claims(), R"(,"jku":"http://127.0.0.1:1/jwks")"), keys.get()},
        {"certificate of the token's own",
         key_token(foreign, "ES256", claims(), R"(,"x5c":["MIIB"],"x5u":"http://127.0.0.1:1/")"),
         keys.get()},
        {"zeros for a signature", ec_good.substr(0, ec_good.rfind('.') + 1) + std::string(86, 'A'),
         keys.get()},
        {"signature in DER",
         [&] {
             const std::string part = ec_good.substr(0, ec_good.rfind('.'));
             return part + "." + base64url("\x30\x06\x02\x01\x01\x02\x01\x01");
         }(),
         keys.get()},
        {"foreign key", key_token(foreign, "ES256", claims()), keys.get()},
        {"foreign secret", secret_token(std::string(32, 'x'), claims()), secret.get()},
        {"empty secret", secret_token("", claims()), secret.get()},
        {"signature of another token",
         signed_part(R"({"alg":"HS256"})", claims(",\"x\":1")) + "." + signature, secret.get()},
        {"signature cut", good.substr(0, good.size() - 4), secret.get()},
        {"signature longer", good + "AAAA", secret.get()},
        {"padding", good + "=", secret.get()},
        {"other last bits",
         good.substr(0, good.size() - 1) +
             static_cast<char>(good.back() == 'z' ? 'y' : good.back() + 1),
         secret.get()},
        {"blank in front", " " + good, secret.get()},
        {"line end behind", good + "\n", secret.get()},
        {"NUL behind", good + std::string(1, '\0'), secret.get()},
        {"usual base64", text + ".+" + signature.substr(1), secret.get()},
        {"larger than token_size", claimed(claims(",\"x\":\"" + std::string(8192, 'x') + "\"")),
         secret.get()},
        {"claims a list", claimed("[]"), secret.get()},
        {"claims no JSON", claimed("sub=alice"), secret.get()},
        {"claims empty", claimed(""), secret.get()},
        {"claims not UTF-8", claimed(claims(",\"x\":\"\xff\"")), secret.get()},
        {"claim twice", claimed(claims(R"(,"sub":"root")")), secret.get()},
        {"claim twice, escaped", claimed(claims(R"(,"\u0073ub":"root")")), secret.get()},
        {"claims too deep", claimed(deep), secret.get()},
        {"two values", claimed(claims() + claims()), secret.get()},
        {"400 claims, no end", claimed(many.substr(0, many.size() - 2)), secret.get()},
        {"user a number", claimed(R"({"exp":1800000060,"sub":7})"), secret.get()},
        {"user empty", claimed(R"({"exp":1800000060,"sub":""})"), secret.get()},
        {"user with a line", claimed(R"({"exp":1800000060,"sub":"a\nb"})"), secret.get()},
        {"user with a comma", claimed(R"({"exp":1800000060,"sub":"a,b"})"), secret.get()},
        {"user too long", claimed(R"({"exp":1800000060,"sub":")" + std::string(250, 'x') + "\"}"),
         secret.get()},
        {"channels an object", claimed(R"({"exp":1800000060,"channels":{"a":1}})"), secret.get()},
        {"channels of numbers", claimed(R"({"exp":1800000060,"channels":[1]})"), secret.get()},
        {"pattern empty", claimed(R"({"exp":1800000060,"channels":[""]})"), secret.get()},
        {"pattern with a comma", claimed(R"({"exp":1800000060,"channels":["a,b"]})"), secret.get()},
        {"pattern like a glob", claimed(R"({"exp":1800000060,"channels":["a*"]})"), secret.get()},
        {"publish null", claimed(R"({"exp":1800000060,"publish":null})"), secret.get()},
        {"257 patterns",
         [&] {
             std::string list = "\"a\"";
             for (int i = 0; i < 256; ++i)
                 list += ",\"a\"";
             return claimed("{\"exp\":1800000060,\"channels\":[" + list + "]}");
         }(),
         secret.get()},
    };
    assert_text(told(*secret, good), "");
    assert_text(told(*keys, ec_good), "");
    for (const Row& row : rows) {
        const std::string why = told(*row.authority, row.token);
        assert_row(row.name, why != "");
        // It is told what is wrong, and not what was said.
        for (const std::string& part : {kSecret, signature, std::string("alice")})
            assert_row(row.name, why.find(part) == why.npos);
    }
    std::printf("%zu hostile tokens\n", rows.size());
    for (size_t i = 0; i < good.size(); ++i) // and none that is cut off
        assert_true(told(*secret, good.substr(0, i)) != "");
}

static void what_is_no_section(void**) {
    const std::string pem = SigningKey::ec("P-256").public_pem();
    assert_text(fault_of(settings()), "type[0]: jwt needs 'secret' or 'keys', and not both");
    AuthSettings both = with_keys({pem});
    both.secret = kSecret;
    assert_text(fault_of(both), "type[0]: jwt needs 'secret' or 'keys', and not both");
    AuthSettings weak = settings();
    weak.secret = "changeme";
    assert_text(fault_of(weak), "secret[0]: the secret is shorter than 32 bytes (RFC 7518 section "
                                "3.2)");
    AuthSettings confused = settings();
    confused.secret = pem;
    assert_text(fault_of(confused), "secret[0]: the secret is a PEM text; a public key belongs "
                                    "into a file that 'keys' names");
    AuthSettings unfit = with_keys({pem});
    unfit.algorithms = {"ES256", "HS256"};
    assert_text(fault_of(unfit), "algorithms[1]: HS256 fits none of the section's keys");
    const struct {
        std::string text, error;
    } rows[] = {
        {"", "holds no PUBLIC KEY block"},
        {"{", "is not JSON, or has a name twice"},
        {"{}", "has no \"keys\", which is a list (RFC 7517 section 5)"},
        {R"({"keys":{}})", "has no \"keys\", which is a list (RFC 7517 section 5)"},
        {R"({"keys":[]})", "has no key that checks signatures"},
        {R"({"keys":[7]})", "key 1 is not an object, or has a name twice"},
        {R"({"keys":[],"keys":[]})", "is not JSON, or has a name twice"},
        {R"({"keys":[{"kty":"EC","crv":"P-521"},{"kty":"new"},{}]})",
         "has no key that checks signatures"},
        {R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]})", "key 1 is not a public key"},
        {R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]})",
         "key 1 is a private key; what checks tokens needs the public one only"},
        {R"({"kty":"oct","k":"c2hvcnQ"})", "key 1 is shorter than 32 bytes (RFC 7518 section 3.2)"},
        {R"({"kty":"oct","alg":"HS512","k":")" + base64url(kSecret) + "\"}",
         "key 1 names an algorithm that it does not fit"},
        {R"({"kty":"oct","alg":"HS1","k":")" + base64url(kSecret) + "\"}",
         "has no key that checks signatures"},
        {R"({"kty":"oct","use":"enc","k":")" + base64url(kSecret) + "\"}",
         "has no key that checks signatures"},
        {R"({"kty":"oct","key_ops":["sign"],"k":")" + base64url(kSecret) + "\"}",
         "has no key that checks signatures"},
    };
    for (const auto& row : rows)
        assert_text(fault_of(with_keys({pem, row.text})), "keys[1]: '/key1' " + row.error);
    std::string many;
    for (int i = 0; i < 33; ++i)
        many += pem;
    assert_text(fault_of(with_keys({many})), "keys[0]: there are more than 32 keys");
}

static void bearer(void**) {
    const auto create = auth_modules()[1]->create;
    assert_text(auth_modules()[1]->type, "bearer");
    AuthSettings each = settings();
    each.tokens = {"0123456789abcdef", "another-token.of-mine=="};
    auto authority = std::get<std::shared_ptr<const Authority>>(create(each));
    IdentityRef identity = accepted(*authority, "0123456789abcdef");
    assert_true(identity->may_read("a") && identity->may_write("a.b") && identity->may_write_all());
    assert_false(identity->may_write("$user:x"));
    assert_int_equal(identity->expires, 0);
    accepted(*authority, "another-token.of-mine==");
    for (const char* bad : {"", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0",
                            "another-token.of-mine=", "0123456789abcdef,another-token.of-mine=="})
        assert_text(told(*authority, bad), "signature: the token is none of 'tokens'");
    const auto fault = [&](const std::vector<std::string>& tokens) {
        each.tokens = tokens;
        auto made = create(each);
        const auto* found = std::get_if<AuthFault>(&made);
        return found ? std::string(found->key) + std::to_string(found->item) : "";
    };
    assert_text(fault({}), "type0");
    assert_text(fault({"0123456789abcdef", "short"}), "tokens1");
    assert_text(fault({"0123456789abcde f"}), "tokens0");
    assert_text(fault({"================"}), "tokens0");
    assert_text(fault({"0123456789=abcdef"}), "tokens0");
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_a_token_gives),
        cmocka_unit_test(what_a_token_may_lack),
        cmocka_unit_test(other_claims),
        cmocka_unit_test(reserved_channels),
        cmocka_unit_test(every_algorithm),
        cmocka_unit_test(longer_digests),
        cmocka_unit_test(times),
        cmocka_unit_test(audience_and_issuer),
        cmocka_unit_test(key_ids),
        cmocka_unit_test(hostile_tokens),
        cmocka_unit_test(what_is_no_section),
        cmocka_unit_test(bearer),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
