// SPDX-License-Identifier: Apache-2.0
#include "server/hook_sender.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"

#include <algorithm>

namespace fanhorn {

namespace {

constexpr Millis kFinishTickMs = 50;
constexpr size_t kAnswerBytes = 64 << 10; // nothing in it is looked at

std::string request_text(const HookSettings& settings, const std::string& body) {
    std::string text =
        "POST " + settings.endpoint.target + " HTTP/1.1\r\nHost: " + settings.endpoint.authority +
        "\r\nUser-Agent: fanhorn/" FANHORN_VERSION
        "\r\nContent-Type: application/json\r\nFanhorn-Signature: " +
        hook_signature(settings.secrets, wall_millis(), body) + "\r\nContent-Length: ";
    append_number(text, body.size());
    return text + "\r\n\r\n" + body;
}

bool is_good(const Outgoing::Response& response) {
    return response.fault == Outgoing::Response::Fault::None && response.status >= 200 &&
           response.status <= 299;
}

} // namespace

std::string hook_signature(const std::vector<std::string>& secrets, Millis wall,
                           std::string_view body) {
    std::string time;
    append_number(time, static_cast<uint64_t>(wall / 1000));
    const std::string signed_text = (time + ".").append(body);
    std::string value = "t=" + time;
    for (const std::string& secret : secrets)
        value += ",v1=" + hex_encode(hmac_sha256(secret, signed_text));
    return value;
}

void HookSender::let_go() {
    for (const auto& section : sections_)
        if (section->is_sending)
            hooks_.settle(section->settings.name, HookQueue::Outcome::Undone);
    sections_.clear();
}

void HookSender::configure(const std::vector<HookSettings>& sections) {
    for (const HookSettings& settings : sections) {
        auto section = std::make_unique<Section>();
        section->settings = settings;
        section->outgoing =
            std::make_unique<Outgoing>(loop_, clock_, settings.endpoint,
                                       Outgoing::Settings{.timeout = settings.timeout,
                                                          .requests = 1,
                                                          .body_size = kAnswerBytes,
                                                          .is_left_alone = false});
        sections_.push_back(std::move(section));
    }
    const auto figures = hooks_.figures();
    for (size_t i = 0; i < sections_.size(); ++i)
        sections_[i]->told_drops = figures[i].dropped;
}

void HookSender::tick() {
    hooks_.tick();
    for (const auto& section : sections_) {
        section->outgoing->tick();
        send(*section);
    }
    tell_drops();
}

void HookSender::send(Section& section) {
    if (section.is_sending || (is_finishing_ && section.is_failing))
        return;
    const auto body = hooks_.take(section.settings.name, is_finishing_);
    if (!body)
        return;
    section.is_sending = true;
    section.outgoing->ask(
        request_text(section.settings, *body),
        [this, &section](const Outgoing::Response& response) { on_answer(section, response); });
}

void HookSender::on_answer(Section& section, const Outgoing::Response& response) {
    section.is_sending = false;
    if (!is_good(response)) {
        hooks_.settle(section.settings.name, HookQueue::Outcome::Failed);
        section.is_failing = true;
        return tell_failure(section, response);
    }
    hooks_.settle(section.settings.name, HookQueue::Outcome::Taken);
    if (section.is_failing)
        log_event(LogLevel::Notice, "hook_answers", {{"hooks", section.settings.name}});
    section.is_failing = false;
    send(section); // what is due by now
}

void HookSender::tell_failure(const Section& section, const Outgoing::Response& response) {
    const bool is_answer = response.fault == Outgoing::Response::Fault::None;
    log_event(LogLevel::Warning, "hook_failed",
              {{"hooks", section.settings.name},
               {"reason", is_answer ? "answered " + std::to_string(response.status)
                                    : std::string(Outgoing::fault_text(response.fault))},
               {"detail", response.detail}});
}

void HookSender::tell_drops() {
    const auto figures = hooks_.figures();
    for (size_t i = 0; i < sections_.size(); ++i) {
        Section& section = *sections_[i];
        for (size_t why = 0; why < HookQueue::kDrops; ++why) {
            const uint64_t count = figures[i].dropped[why] - section.told_drops[why];
            if (count > 0)
                log_event(LogLevel::Error, "hook_events_dropped",
                          {{"hooks", section.settings.name},
                           {"bound", HookQueue::drop_name(why)},
                           {"count", count}});
        }
        section.told_drops = figures[i].dropped;
    }
}

bool HookSender::is_done() const {
    const auto figures = hooks_.figures();
    for (size_t i = 0; i < sections_.size(); ++i)
        if (sections_[i]->is_sending || (figures[i].events > 0 && !sections_[i]->is_failing))
            return false;
    return true;
}

void HookSender::finish(Millis until) {
    is_finishing_ = true;
    for (const auto& section : sections_)
        section->is_failing = false; // one attempt more
    hooks_.end();
    {
        const Ticker ticker(loop_, kFinishTickMs, [this] { tick(); });
        tick();
        while (!is_done() && clock_.now() < until)
            loop_.turn(Loop::Wait::ForEvents);
    }
    for (const auto& section : sections_)
        if (std::exchange(section->is_sending, false))
            hooks_.settle(section->settings.name, HookQueue::Outcome::Undone);
    hooks_.abandon();
    tell_drops();
    sections_.clear();
}

} // namespace fanhorn
