// SPDX-License-Identifier: Apache-2.0
#include "server/publisher.h"

#include "base/text.h"
#include "server/users.h"

#include <map>
#include <memory>

namespace fanhorn {

namespace {

std::optional<http::Problem> problem_of(const Published& published, const std::string& channel) {
    switch (published.status) {
    case Published::Status::Published:
    case Published::Status::Replayed:
        return std::nullopt;
    case Published::Status::Mismatch:
        return http::problem("idempotency_mismatch",
                             "that key was used for another message, with the id " +
                                 position_text(published.position));
    case Published::Status::NoSection:
        return http::problem("channel_unknown", "no [channel] section matches '" + channel + "'");
    case Published::Status::ChannelsFull:
        return http::problem("overloaded", "there are as many channels as 'channels' in [limits]");
    case Published::Status::Down:
        return http::problem("broker_down", "the channel's broker is away");
    }
    return std::nullopt;
}

} // namespace

const ChannelSettings* Publisher::check(Attempt& attempt) {
    if (attempt.problem)
        return nullptr;
    if (!memory_.has_room_for_publishes()) {
        counters_.shed(Shed::Publish);
        attempt.problem = memory_problem();
        return nullptr;
    }
    const ChannelSettings* settings = directory_.settings_for(attempt.channel);
    if (!settings) {
        attempt.problem = http::problem("channel_unknown",
                                        "no [channel] section matches '" + attempt.channel + "'");
        return nullptr;
    }
    if (attempt.draft.payload.size() > settings->message_size) {
        counters_.hit(Limit::MessageSize);
        attempt.problem = http::problem(
            "too_large", "the payload has " + std::to_string(attempt.draft.payload.size()) +
                             " bytes; 'message_size' is " + std::to_string(settings->message_size));
        return nullptr;
    }
    attempt.draft.channel = attempt.channel;
    return settings;
}

void Publisher::settle(Attempt& attempt, const Published& published) {
    attempt.published = published;
    attempt.problem = problem_of(published, attempt.channel);
    if (published.status != Published::Status::Published)
        return;
    counters_.published.add(1);
    if (!observer_ || published.subscribers > 0 || published.is_heard)
        return;
    if (const auto user = user_of_channel(attempt.channel); !user.empty())
        observer_->on_unheard(std::string(user), published.position);
}

void Publisher::publish_one(Attempt&& attempt, std::function<void(const Attempt&)> done) {
    const ChannelSettings* settings = check(attempt);
    if (!settings)
        return done(attempt);
    std::vector<Draft> drafts;
    drafts.push_back(std::move(attempt.draft));
    directory_.end_for(*settings).broker->publish(
        std::move(drafts), [this, channel = std::move(attempt.channel),
                            done = std::move(done)](std::vector<Published> published) mutable {
            Attempt settled;
            settled.channel = std::move(channel);
            settle(settled, published[0]);
            done(settled);
        });
}

void Publisher::publish(Attempts attempts, std::function<void(Attempts)> done) {
    struct Job {
        Attempts attempts;
        std::function<void(Attempts)> done;
        size_t open = 1; // brokers that have not answered, and ourselves
    };
    struct Share {
        std::vector<Draft> drafts;
        std::vector<size_t> indices;
    };
    auto job = std::make_shared<Job>();
    job->attempts = std::move(attempts);
    job->done = std::move(done);
    std::map<Broker*, Share> shares; // one batch a broker: its order is taken once
    for (size_t i = 0; i < job->attempts.size(); ++i) {
        Attempt& attempt = job->attempts[i];
        if (const ChannelSettings* settings = check(attempt)) {
            Share& share = shares[directory_.end_for(*settings).broker];
            if (share.drafts.empty()) {
                share.drafts.reserve(job->attempts.size() - i);
                share.indices.reserve(job->attempts.size() - i);
            }
            share.drafts.push_back(std::move(attempt.draft));
            share.indices.push_back(i);
        }
    }
    const auto close_one = [job] {
        if (--job->open == 0)
            job->done(std::move(job->attempts));
    };
    for (auto& [broker, share] : shares) {
        ++job->open;
        broker->publish(std::move(share.drafts),
                        [this, job, close_one,
                         indices = std::move(share.indices)](std::vector<Published> published) {
                            for (size_t i = 0; i < indices.size(); ++i)
                                settle(job->attempts[indices[i]], published[i]);
                            close_one();
                        });
    }
    close_one();
}

void append_attempt(std::string& out, const Attempt& attempt, bool with_channel) {
    out += '{';
    if (with_channel) {
        out += "\"channel\":";
        append_json_string(out, attempt.channel);
        out += ',';
    }
    if (attempt.problem) {
        out += http::problem_body(*attempt.problem).substr(1);
        return;
    }
    out += "\"id\":\"";
    append_position(out, attempt.published.position);
    out += "\",\"n\":";
    append_number(out, attempt.published.n);
    out += ",\"subscribers\":";
    append_number(out, attempt.published.subscribers);
    if (attempt.published.status == Published::Status::Replayed)
        out += ",\"replayed\":true";
    out += '}';
}

std::string attempt_json(const Attempt& attempt, bool with_channel) {
    std::string out;
    out.reserve(kUsualResultBytes);
    append_attempt(out, attempt, with_channel);
    return out;
}

} // namespace fanhorn
