// SPDX-License-Identifier: Apache-2.0
// RULE, PATTERN, NAME and a claim's JSON, a line each: a rule holds only for names that its pattern
// matches, and `contains` is `equals` of one of a list's items.
#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "relay/claim_rule.h"
#include "relay/identity.h"

#include <cstdlib>

using namespace fanhorn;

static void require(bool is_true) {
    if (!is_true)
        std::abort();
}

static Ref<Identity> with_claim(const std::string& name, std::string_view value) {
    auto identity = make_ref<Identity>();
    identity->claims.push_back({name, std::string(value)});
    return identity;
}

static bool is_list(std::string_view json) {
    return json_kind(json) == JsonKind::Array;
}

static void expect_sense(ClaimRule rule, std::string_view channel, std::string_view json) {
    const bool holds = rule.holds(*with_claim(rule.claim, json), channel);
    require(!holds || (rule.pattern.matches(channel) && !is_reserved(channel)));
    require(!holds || rule.unknown_capture(rule.pattern).empty());
    require(!rule.holds(*with_claim(rule.claim + "x", json), channel));
    if (is_list(json))
        return;
    rule.kind = ClaimRule::Kind::Equals;
    const bool is_equal = rule.holds(*with_claim(rule.claim, json), channel);
    rule.kind = ClaimRule::Kind::Contains;
    require(is_equal == rule.holds(*with_claim(rule.claim, json), channel));
    const std::string list = "[null," + std::string(json) + "]";
    require(is_equal == rule.holds(*with_claim(rule.claim, list), channel));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string_view input(reinterpret_cast<const char*>(data), size);
    auto access = parse_access(take_until(input, '\n'));
    if (!access) {
        require(!access.error().empty() && is_utf8(access.error()));
        return 0;
    }
    const auto pattern = Pattern::parse(take_until(input, '\n'));
    const std::string_view channel = take_until(input, '\n');
    const std::string list = "[" + std::string(input) + "]"; // as a claim comes, without blanks
    std::vector<JsonPart> claims;
    if (!access->rule || !pattern || !is_channel_name(channel) || !read_json(list, 16, &claims) ||
        claims.size() != 1)
        return 0;
    require(!access->name.empty() && !access->rule->claim.empty() && !access->rule->value.empty());
    access->rule->pattern = *pattern;
    expect_sense(*access->rule, channel, claims[0].value);
    return 0;
}
