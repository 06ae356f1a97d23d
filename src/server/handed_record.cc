// SPDX-License-Identifier: Apache-2.0
#include "server/handed_record.h"

#include "modules/packed_fields.h"

#include <algorithm>

namespace fanhorn {

namespace {

// One list of the fields for both ways: Out writes them, In reads them.
class Out {
  public:
    explicit Out(std::string& out) : to_(out) {}
    void number(uint64_t value) { to_.number(value); }
    void text(const std::string& value) { to_.text(value); }
    template <typename T, typename Each> void list(const std::vector<T>& all, Each each) {
        to_.number(all.size());
        for (const T& one : all)
            each(one);
    }

  private:
    PackedWriter to_;
};

class In {
  public:
    explicit In(std::string_view record) : from_(record) {}
    template <typename T> void number(T& value) { value = static_cast<T>(from_.number()); }
    void text(std::string& value) { value = from_.text(); }
    template <typename T, typename Each> void list(std::vector<T>& all, Each each) {
        for (uint64_t count = from_.number(); count > 0 && from_.is_whole(); --count)
            each(all.emplace_back());
    }
    bool is_good() const { return is_good_ && from_.is_whole(); }
    bool is_end() const { return from_.is_end(); }
    void refuse() { is_good_ = false; }

  private:
    PackedReader from_;
    bool is_good_ = true;
};

template <typename Way, typename Value> void number(Way& way, Value& value) {
    if constexpr (std::is_same_v<Way, Out>)
        way.number(static_cast<uint64_t>(value));
    else
        way.number(value);
}

template <typename Way, typename Bytes> void raw(Way& way, Bytes& bytes) {
    for (auto& byte : bytes)
        number(way, byte);
}

template <typename Way, typename T> void address(Way& way, T& value) {
    number(way, value.kind);
    number(way, value.port);
    raw(way, value.bytes);
}

template <typename Way, typename T> void position(Way& way, T& value) {
    number(way, value.epoch);
    number(way, value.seq);
}

template <typename Way, typename T> void subscriber(Way& way, T& value) {
    way.list(value.parts, [&](auto& part) {
        way.list(part.channels, [&](auto& channel) { way.text(channel); });
        way.text(part.filter);
        position(way, part.position);
        number(way, part.is_patched);
        number(way, part.is_caught_up);
        number(way, part.is_behind);
    });
    way.text(value.unsent);
    position(way, value.told);
    number(way, value.owes_position);
}

void patterns(Out& out, const std::vector<Pattern>& all) {
    out.list(all, [&](const Pattern& each) { out.text(each.text()); });
}

void patterns(In& in, std::vector<Pattern>& all) {
    std::vector<std::string> texts;
    in.list(texts, [&](std::string& text) { in.text(text); });
    for (const std::string& text : texts) {
        auto pattern = Pattern::parse(text);
        if (!pattern)
            return in.refuse();
        all.push_back(std::move(*pattern));
    }
}

template <typename Way, typename T> void identity(Way& way, T& value) {
    way.text(value.authority);
    way.text(value.user);
    way.text(value.info);
    patterns(way, value.channels);
    patterns(way, value.publish);
    way.list(value.claims, [&](auto& claim) {
        way.text(claim.name);
        way.text(claim.value);
    });
    number(way, value.expires);
}

void identities(Out& out, const std::vector<IdentityRef>& all) {
    out.list(all, [&](const IdentityRef& each) { identity(out, *each); });
}

void identities(In& in, std::vector<IdentityRef>& all) {
    in.list(all, [&](IdentityRef& each) {
        auto* made = new Identity;
        each = IdentityRef(made);
        identity(in, *made);
    });
}

template <typename Way, typename T> void body(Way& way, T& handed) {
    number(way, handed.place.left);
    number(way, handed.place.room);
    number(way, handed.place.count);
    number(way, handed.place.state);
    way.text(handed.body);
    number(way, handed.has_begun);
}

template <typename Way, typename T> void fields(Way& way, T& handed) {
    number(way, handed.kind);
    way.text(handed.listener);
    number(way, handed.is_fresh);
    number(way, handed.is_proxy_due);
    number(way, handed.has_client);
    if (handed.has_client) {
        address(way, handed.peer);
        address(way, handed.client);
    }
    number(way, handed.goes_at);
    number(way, handed.due_at);
    way.text(handed.input);
    way.text(handed.output);
    way.text(handed.stash);
    number(way, handed.has_body);
    if (handed.has_body)
        body(way, handed);
    if (handed.kind <= Handed::Kind::Http)
        return;
    way.text(handed.transport);
    way.text(handed.query);
    way.text(handed.lines);
    raw(way, handed.connection);
    number(way, handed.heartbeat);
    subscriber(way, handed.subscriber);
    number(way, handed.has_standing);
    if (handed.has_standing) {
        identities(way, handed.standing.identities);
        way.text(handed.standing.publishes_to);
        number(way, handed.standing.since);
    }
    if (handed.kind != Handed::Kind::Poll)
        return;
    way.text(handed.headers);
    number(way, handed.keep_alive);
    number(way, handed.max_messages);
}

} // namespace

std::string pack_handed(const Handed& handed) {
    std::string record;
    Out out(record);
    fields(out, handed);
    return record;
}

std::optional<Handed> unpack_handed(std::string_view record) {
    Handed handed;
    In in(record);
    fields(in, handed);
    if (!in.is_good() || !in.is_end() || handed.kind > Handed::Kind::Session ||
        (handed.has_body && !http::BodyReader().go_on(handed.place)) ||
        handed.peer.kind > NetAddress::Kind::Unix || handed.client.kind > NetAddress::Kind::Unix)
        return std::nullopt;
    const auto& parts = handed.subscriber.parts;
    const bool is_fixed = handed.kind == Handed::Kind::Poll || handed.kind == Handed::Kind::Stream;
    if ((is_fixed && parts.size() != 1) ||
        std::ranges::any_of(parts, [](const HandedPart& part) { return part.channels.empty(); }))
        return std::nullopt;
    return handed;
}

} // namespace fanhorn
