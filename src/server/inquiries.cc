// SPDX-License-Identifier: Apache-2.0
#include "server/inquiries.h"

#include "base/log.h"

#include <algorithm>

namespace fanhorn {

namespace {

// What the application is asked: as a client would, in the name of who has the token.
std::string request_text(const Endpoint& endpoint, const Authority& authority,
                         const Credential& credential) {
    std::string text = "GET " + endpoint.target + " HTTP/1.1\r\nHost: " + endpoint.authority +
                       "\r\nUser-Agent: fanhorn/" FANHORN_VERSION
                       "\r\nAccept: application/json\r\n";
    text += credential.is_cookie ? "Cookie: " + authority.cookie() + "=" : "Authorization: Bearer ";
    return text + credential.token + "\r\n\r\n";
}

} // namespace

void Inquiries::set_config(const Config& config) {
    std::move(sections_.begin(), sections_.end(), std::back_inserter(replaced_));
    sections_.clear();
    for (const auto& authority : config.authorities) {
        if (!authority->inquiry())
            continue;
        auto outgoing =
            std::make_unique<Outgoing>(loop_, clock_, config.endpoints.at(authority->name()),
                                       Outgoing::Settings{.timeout = authority->inquiry()->timeout,
                                                          .requests = config.limits.auth_requests});
        sections_.push_back(std::make_unique<Section>(Section{authority, std::move(outgoing), {}}));
    }
}

void Inquiries::ask(const Question& question, std::function<void()> done) {
    const auto& [authority, credential] = question;
    const auto found = std::find_if(sections_.begin(), sections_.end(), [&](const auto& each) {
        return each->authority == question.authority;
    });
    CHECK(found != sections_.end()); // they are those of the configuration in effect
    Section& section = **found;
    auto& waiting = section.waiting[credential.token];
    waiting.push_back(std::move(done));
    if (waiting.size() > 1)
        return; // asked already
    section.outgoing->ask(
        request_text(section.outgoing->endpoint(), *authority, credential),
        [this, &section, token = credential.token](const Outgoing::Response& response) {
            on_answer(section, token, response);
        });
}

void Inquiries::on_answer(Section& section, const std::string& token,
                          const Outgoing::Response& response) {
    const std::string_view fault = Outgoing::fault_text(response.fault);
    if (response.fault == Outgoing::Response::Fault::Busy)
        counters_.hit(Limit::AuthRequests, section.authority->name());
    const bool is_answered = response.fault == Outgoing::Response::Fault::None;
    if (!is_answered)
        log_event(
            LogLevel::Error, "auth_callback_failed",
            {{"auth", section.authority->name()}, {"reason", fault}, {"detail", response.detail}});
    if (section.authority->learn(token, response.status, is_answered ? response.body : fault,
                                 wall_millis()))
        counters_.hit(Limit::CacheAnswers, section.authority->name());
    auto waiting = section.waiting.extract(token);
    std::move(waiting.mapped().begin(), waiting.mapped().end(), std::back_inserter(answered_));
}

void Inquiries::run() {
    for (const auto& done : std::exchange(answered_, {}))
        done();
}

void Inquiries::tick() {
    for (auto* sections : {&sections_, &replaced_})
        for (const auto& section : *sections)
            section->outgoing->tick();
}

void Inquiries::reap() {
    std::erase_if(replaced_, [](const auto& section) { return section->waiting.empty(); });
}

void Inquiries::close() {
    sections_.clear();
    replaced_.clear();
}

} // namespace fanhorn
