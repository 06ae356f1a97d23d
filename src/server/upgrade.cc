// SPDX-License-Identifier: Apache-2.0
#include "server/upgrade.h"

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstring>
#include <span>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fanhorn {

namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> environment_with(std::string variable) {
    std::vector<std::string> all;
    for (char** each = environ; *each; ++each)
        all.emplace_back(*each);
    all.push_back(std::move(variable));
    return all;
}

// With no signal blocked, as any process begins.
Result<pid_t> spawn(const Program& program, int socket) {
    std::vector<std::string> arguments = program.arguments;
    std::vector<std::string> environment =
        environment_with(std::string(kUpgradeVariable) + "=" + std::to_string(socket));
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t child = 0;
    const int failed = posix_spawn(&child, program.path.c_str(), nullptr, &attributes,
                                   pointers_to(arguments).data(), pointers_to(environment).data());
    posix_spawnattr_destroy(&attributes);
    if (failed)
        return Error{"cannot start '" + program.path + "': " + std::strerror(failed)};
    return child;
}

} // namespace

Program Program::of(int argc, char** argv) {
    char path[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
    return {size > 0 ? std::string(path, static_cast<size_t>(size)) : argv[0],
            std::vector<std::string>(argv, argv + argc)};
}

Upgrade::Upgrade(Loop& loop, const Clock& clock, Owner owner)
    : loop_(loop), clock_(clock), owner_(std::move(owner)) {}

Upgrade::~Upgrade() {
    unwatch();
    if (!is_over_)
        fail("this process ends");
}

Result<void> Upgrade::begin(const Program& program) {
    Descriptor theirs;
    auto made = Letters::make(theirs);
    if (!made)
        return Error{made.error()};
    letters_ = std::move(*made);
    const auto child = spawn(program, theirs.get());
    if (!child) {
        is_over_ = true;
        return Error{child.error()};
    }
    child_ = *child;
    deadline_ = clock_.now() + kGreetsWithin;
    if (!watch(loop_, letters_.socket()))
        fail("no room for one socket more");
    return {};
}

void Upgrade::tick() {
    if (!is_over_ && clock_.now() >= deadline_)
        fail(is_greeted_ ? "it was not ready in time" : "it did not say who it is in time");
}

// It is ended first: what it has of ours is then ours alone.
void Upgrade::fail(std::string reason) {
    unwatch();
    int status = 0;
    if (child_ > 0 && kill(child_, SIGKILL) == 0 && waitpid(child_, &status, 0) == child_ &&
        WIFEXITED(status))
        reason += "; its exit code is " + std::to_string(WEXITSTATUS(status));
    letters_ = Letters();
    outcome_ = {.failure = std::move(reason)};
    is_over_ = true;
}

// ---- while we serve

void Upgrade::on_readable() {
    const auto letter = letters_.receive(0);
    if (!letter)
        return fail(letter.error());
    PackedReader from(letter->text);
    const auto word = static_cast<Word>(from.byte());
    if (word == Word::Failed)
        return fail(from.text());
    if (word == Word::Hello && !is_greeted_)
        return welcome(from.number());
    if (word != Word::Ready || !is_greeted_)
        return fail("another letter came than was due");
    std::set<std::string> listeners;
    for (uint64_t count = from.number(); count > 0 && from.is_whole(); --count)
        listeners.insert(from.text());
    hand_over(std::move(listeners));
}

void Upgrade::welcome(uint64_t format) {
    is_greeted_ = true;
    outcome_.is_cold = format != kUpgradeFormat;
    deadline_ = clock_.now() + kReadyWithin;
    const std::vector<Listening> listening = owner_.listening();
    const size_t letters =
        (listening.size() + Letters::kMaxDescriptors - 1) / Letters::kMaxDescriptors;
    std::string words = letter(Word::Welcome);
    PackedWriter(words)
        .number(kUpgradeFormat)
        .number(static_cast<uint64_t>(getpid()))
        .number(letters);
    auto sent = letters_.send(words);
    if (sent)
        sent = send_listeners(listening);
    if (!sent)
        fail(sent.error());
}

Result<void> Upgrade::send_listeners(const std::vector<Listening>& listening) {
    for (size_t from = 0; from < listening.size(); from += Letters::kMaxDescriptors) {
        std::string words = letter(Word::Sockets);
        std::vector<int> sockets;
        PackedWriter to(words);
        for (size_t i = from; i < std::min(from + Letters::kMaxDescriptors, listening.size());
             ++i) {
            to.text(listening[i].key);
            sockets.push_back(listening[i].socket);
        }
        if (auto sent = letters_.send(words, sockets); !sent)
            return sent;
    }
    return {};
}

// ---- while all holds still

void Upgrade::hand_over(std::set<std::string> listeners) {
    unwatch();
    if (outcome_.is_cold)
        listeners.clear();
    const int64_t frozen_at = monotonic_micros();
    const std::shared_ptr<Freeze> freeze = owner_.freeze(std::move(listeners));
    const auto packed = freeze->wait(kHoldsWithin);
    const Result<void> given =
        packed ? give(*packed, frozen_at) : Error{"a worker did not hold still in time"};
    if (!given) {
        fail(given.error());
        return freeze->decide(Freeze::Verdict::GoOn);
    }
    owner_.retire();
    freeze->decide(Freeze::Verdict::Gone);
    outcome_.successor = child_;
    outcome_.connections = packed->size();
    outcome_.frozen_micros = monotonic_micros() - frozen_at;
    is_over_ = true;
}

Result<void> Upgrade::give(const std::vector<Packed>& packed, int64_t frozen_at_micros) {
    if (auto given = give_state(packed, frozen_at_micros); !given)
        return given;
    if (auto given = give_connections(packed); !given)
        return given;
    if (auto adopted = expect(Word::Adopted); !adopted)
        return adopted;
    if (auto sent = letters_.send(letter(Word::Commit)); !sent)
        return sent;
    return expect(Word::Taken);
}

Result<void> Upgrade::give_state(const std::vector<Packed>& packed, int64_t frozen_at_micros) {
    if (outcome_.is_cold)
        return letters_.send(letter(Word::State));
    const auto file = make_memory_file(owner_.state(frozen_at_micros, packed));
    if (!file)
        return Error{file.error()};
    const int number = file->get();
    return letters_.send(letter(Word::State), std::span(&number, 1));
}

// One batch after the other: the kernel bounds how many descriptors are on their way.
Result<void> Upgrade::give_connections(const std::vector<Packed>& packed) {
    std::vector<int> batch;
    for (size_t from = 0; from < packed.size(); from += batch.size()) {
        batch.clear();
        for (size_t i = from; i < std::min(from + Letters::kMaxDescriptors, packed.size()); ++i)
            batch.push_back(packed[i].socket);
        if (auto sent = letters_.send(letter(Word::Sockets), batch); !sent)
            return sent;
        if (auto got = expect(Word::Got); !got)
            return got;
    }
    return letters_.send(letter(Word::Complete));
}

Result<void> Upgrade::expect(Word word) {
    const auto letter = letters_.receive(kAnswersWithin);
    if (!letter)
        return Error{letter.error()};
    PackedReader from(letter->text);
    const auto came = static_cast<Word>(from.byte());
    if (came == Word::Failed)
        return Error{from.text()};
    if (came != word)
        return Error{"another letter came than was due"};
    return {};
}

} // namespace fanhorn
