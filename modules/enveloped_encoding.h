// SPDX-License-Identifier: Apache-2.0
// What is told in envelopes, a JSON object each, whatever frames carry them.
#pragma once

#include "modules/message_envelope.h"
#include "relay/encoding.h"

#include <string>
#include <string_view>

namespace fanhorn {

// `Base` is an Encoding; who derives from this says how an object is framed.
template <typename Base> class Enveloped : public Base {
  public:
    using Base::Base;
    bool carries_presence() const override { return true; }

    void message(std::string& out, const Message& message) override {
        tell(out, [&](std::string& json) { append_message(json, message); });
    }
    void retained(std::string& out, const Message& message) override {
        tell(out, [&](std::string& json) { append_retained(json, message); });
    }
    void gap(std::string& out, const Gap& gap) override {
        tell(out, [&](std::string& json) { append_gap(json, gap); });
    }
    void reply(std::string& out, std::string_view json) override { object(out, json); }
    void caught_up(std::string& out, std::string_view channel, Position at) override {
        tell(out, [&](std::string& json) {
            append_caught_up(json, channel, std::string_view(position_text(at)));
        });
    }
    void end(std::string& out, std::string_view channel, std::string_view code) override {
        tell(out, [&](std::string& json) { append_end(json, channel, code); });
    }

  protected:
    virtual void object(std::string& out, std::string_view json) = 0;

    static std::string hello_json(const Hello& hello) {
        std::string json;
        append_hello(json, hex_encode(hello.connection), position_text(hello.position),
                     static_cast<uint64_t>(hello.heartbeat) / 1000);
        return json;
    }
    static std::string position_json(Position at) {
        std::string json;
        append_position(json, std::string_view(position_text(at)));
        return json;
    }

  private:
    template <typename Write> void tell(std::string& out, Write write) {
        std::string json;
        write(json);
        object(out, json);
    }
};

// The same for readers who asked for patches.
template <typename Base> class Patching final : public Base {
  public:
    using Base::Base;
    bool makes_patches() const override { return true; }
    bool patch(std::string& out, const Message& message, const Message& base) override {
        std::string json;
        if (!append_patch(json, message, base))
            return false;
        this->object(out, json);
        return true;
    }
};

} // namespace fanhorn
