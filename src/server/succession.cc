// SPDX-License-Identifier: Apache-2.0
#include "server/succession.h"

#include <cstdlib>
#include <fcntl.h>

namespace fanhorn {

namespace {

// For the other to hold still, and for each of its letters when it does.
constexpr Millis kAnswersWithin = 10'000;

std::string_view fields_of(const Letter& letter) {
    return std::string_view(letter.text).substr(1);
}

} // namespace

std::unique_ptr<Succession> Succession::from_environment() {
    const char* text = std::getenv(kUpgradeVariable);
    if (!text)
        return nullptr;
    const int number = std::atoi(text);
    unsetenv(kUpgradeVariable);
    fcntl(number, F_SETFD, FD_CLOEXEC);
    return std::unique_ptr<Succession>(new Succession(Descriptor(number)));
}

Result<Letter> Succession::expect(Word word, Millis within) {
    auto letter = letters_.receive(within);
    if (letter && (letter->text.empty() || letter->text[0] != static_cast<char>(word)))
        return Error{"another letter came than was due"};
    return letter;
}

Result<void> Succession::greet() {
    std::string hello = letter(Word::Hello);
    PackedWriter(hello).number(kUpgradeFormat);
    if (auto sent = letters_.send(hello); !sent)
        return sent;
    const auto welcome = expect(Word::Welcome, kAnswersWithin);
    if (!welcome)
        return Error{welcome.error()};
    PackedReader from(fields_of(*welcome));
    is_cold_ = from.number() != kUpgradeFormat;
    predecessor_ = static_cast<int>(from.number());
    for (uint64_t count = from.number(); count > 0; --count) {
        auto sockets = expect(Word::Sockets, kAnswersWithin);
        if (!sockets)
            return Error{sockets.error()};
        PackedReader keys(fields_of(*sockets));
        for (Descriptor& socket : sockets->descriptors)
            listeners_.emplace_back(keys.text(), std::move(socket));
        if (!keys.is_whole())
            return Error{"a letter with listeners is damaged"};
    }
    return {};
}

std::vector<Descriptor> Succession::take_listeners(const std::string& key) {
    std::vector<Descriptor> taken;
    for (auto& [name, socket] : listeners_)
        if (name == key && socket)
            taken.push_back(std::move(socket));
    return taken;
}

Result<HandedState> Succession::await_state(const std::set<std::string>& listeners) {
    keys_ = listeners;
    listeners_.clear(); // those that the configuration has not: nobody listens there any more
    std::string ready = letter(Word::Ready);
    PackedWriter to(ready);
    to.number(listeners.size());
    for (const std::string& key : listeners)
        to.text(key);
    if (auto sent = letters_.send(ready); !sent)
        return Error{sent.error()};
    const auto came = expect(Word::State, kAnswersWithin);
    if (!came)
        return Error{came.error()};
    if (is_cold_ || came->descriptors.size() != 1)
        return is_cold_ ? Result<HandedState>(HandedState()) : Error{"a state without its file"};
    auto bytes = read_memory_file(came->descriptors[0].get());
    if (!bytes)
        return Error{bytes.error()};
    state_ = std::move(*bytes);
    auto state = unpack_state(state_);
    if (!state)
        return Error{"the state is damaged"};
    records_ = state->records.size();
    return std::move(*state);
}

Result<std::vector<Descriptor>> Succession::receive_connections() {
    std::vector<Descriptor> all;
    while (all.size() < records_) {
        auto batch = expect(Word::Sockets, kAnswersWithin);
        if (!batch)
            return Error{batch.error()};
        for (Descriptor& socket : batch->descriptors)
            all.push_back(std::move(socket));
        if (auto sent = letters_.send(letter(Word::Got)); !sent)
            return Error{sent.error()};
    }
    if (all.size() != records_)
        return Error{"there are more sockets than connections"};
    if (auto complete = expect(Word::Complete, kAnswersWithin); !complete)
        return Error{complete.error()};
    return all;
}

Result<void> Succession::take_over() {
    if (auto sent = letters_.send(letter(Word::Adopted)); !sent)
        return sent;
    if (auto commit = expect(Word::Commit, kAnswersWithin); !commit)
        return Error{commit.error()};
    return letters_.send(letter(Word::Taken));
}

bool Succession::has_parted() {
    return !letters_.receive(0) && letters_.is_over();
}

void Succession::give_up(std::string_view reason) {
    std::string failed = letter(Word::Failed);
    PackedWriter(failed).text(reason.substr(0, 1000));
    [[maybe_unused]] const auto sent = letters_.send(failed); // it sees our end all the same
}

} // namespace fanhorn
