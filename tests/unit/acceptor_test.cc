// SPDX-License-Identifier: Apache-2.0
// Accepting, on real sockets, when the process has no descriptor left.
#include "net/listener.h"

#include <cstdlib>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "test.h"

using namespace fanhorn;

namespace {

// An acceptor on a free port of the loopback, and what it was told.
struct Fixture {
    Fixture() {
        auto socket = listen_inet("127.0.0.1", 0, 64);
        assert_true(socket.ok());
        port = local_port(socket->get());
        acceptor = std::make_unique<Acceptor>(
            loop, clock, std::move(*socket), reserve,
            Acceptor::Owner{
                .on_accept =
                    [this](int fd, bool is_spare) {
                        Descriptor connection(fd);
                        if (is_spare && !keeps_spares)
                            ++refused;
                        else
                            accepted.push_back(std::move(connection));
                    },
                .on_exhausted = [this] { ++exhausted; },
                .hold = [this] { return accepted.size() < allowed ? 0 : hold_micros; },
                .on_held = [this] { ++held; },
            });
    }
    void turns(int count) {
        for (int i = 0; i < count; ++i)
            loop.turn(Loop::Wait::No);
    }
    // A client's connection, whose handshake the kernel does.
    Descriptor connect_to() const {
        Descriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval limit{2, 0};
        setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        assert_int_equal(
            connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        return client;
    }

    FakeClock clock;
    Loop loop;
    uint16_t port = 0;
    DescriptorReserve reserve;
    bool keeps_spares = false;
    std::vector<Descriptor> accepted;
    int refused = 0;
    int exhausted = 0;
    size_t allowed = SIZE_MAX;
    int64_t hold_micros = 1000;
    int held = 0;
    std::unique_ptr<Acceptor> acceptor;
};

// Takes all descriptors of the process but `left`, until it is destroyed.
class Shortage {
  public:
    explicit Shortage(int left) {
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before_), 0);
        const int lowest = dup(0); // the first free number
        close(lowest);
        rlimit limit = before_;
        limit.rlim_cur = static_cast<rlim_t>(lowest + left);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    ~Shortage() { setrlimit(RLIMIT_NOFILE, &before_); }

  private:
    rlimit before_{};
};

} // namespace

static void test_accepts(void**) {
    Fixture fixture;
    const Descriptor first = fixture.connect_to();
    const Descriptor second = fixture.connect_to();
    fixture.turns(3);
    assert_int_equal(fixture.accepted.size(), 2);
    assert_int_equal(fixture.exhausted, 0);
}

// A reload may want a listener when there is no descriptor left: that is no reason to end.
static void test_opens_nothing_without_descriptors(void**) {
    const FakeClock clock;
    DescriptorReserve reserve;
    Loop loop;
    auto socket = listen_inet("127.0.0.1", 0, 64);
    assert_true(socket.ok());
    const Shortage shortage(0);
    Acceptor acceptor(loop, clock, std::move(*socket), reserve,
                      {.on_accept = [](int, bool) {}, .on_exhausted = [] {}});
    assert_false(acceptor.is_open());
    acceptor.stop();
}

static void test_rests_when_descriptors_run_out(void**) {
    Fixture fixture;
    constexpr int kSpares = Acceptor::kSparesPerPause;
    std::vector<Descriptor> clients;
    for (int i = 0; i < 2 * kSpares + 2; ++i)
        clients.push_back(fixture.connect_to());
    {
        const Shortage shortage(1); // for one of them
        fixture.turns(1);
        assert_int_equal(fixture.accepted.size(), 1);
        assert_int_equal(fixture.exhausted, 1);
        // The second was accepted with the reserve, and closed: it hears so at once, as do others.
        char byte = 0;
        assert_int_equal(recv(clients[1].get(), &byte, 1, 0), 0);
        assert_int_equal(fixture.refused, kSpares);
        // No further reports while it rests, though clients wait: it does not spin.
        fixture.turns(20);
        fixture.acceptor->tick();
        fixture.turns(20);
        assert_int_equal(fixture.accepted.size(), 1);
        assert_int_equal(fixture.refused, kSpares);
        assert_int_equal(fixture.exhausted, 1);
        // When the rest is over it tries once more, and refuses some more.
        fixture.clock.advance(Acceptor::kPause);
        fixture.acceptor->tick();
        fixture.turns(5);
        assert_int_equal(fixture.exhausted, 2);
        assert_int_equal(fixture.refused, 2 * kSpares);
        assert_int_equal(recv(clients[static_cast<size_t>(2 * kSpares)].get(), &byte, 1, 0), 0);
        assert_true(fixture.reserve.is_whole());
    }
    fixture.clock.advance(Acceptor::kPause);
    fixture.acceptor->tick();
    fixture.turns(3);
    assert_int_equal(fixture.accepted.size(), 2); // the last was only kept waiting
}

static void test_does_not_rest_when_all_are_refused(void**) {
    Fixture fixture;
    const Shortage shortage(1);
    fixture.accepted.push_back(fixture.connect_to()); // the client takes the last one
    fixture.turns(5);
    assert_int_equal(fixture.refused, 1);
    fixture.accepted.clear();
    const Descriptor next = fixture.connect_to();
    fixture.turns(5); // no clock went on
    assert_int_equal(fixture.refused, 2);
    fixture.turns(20);
    assert_int_equal(fixture.exhausted, 2);
}

static void test_the_reserve_serves_whom_it_is_for(void**) {
    constexpr size_t kSize = DescriptorReserve::kSize;
    Fixture fixture;
    fixture.keeps_spares = true;
    std::vector<Descriptor> clients;
    for (size_t i = 0; i < kSize + 2; ++i)
        clients.push_back(fixture.connect_to());
    const Shortage shortage(0);
    fixture.turns(20);
    assert_int_equal(fixture.accepted.size(), kSize);
    assert_false(fixture.reserve.is_whole());
    // One is served: the next one takes its place.
    fixture.accepted.erase(fixture.accepted.begin());
    fixture.clock.advance(Acceptor::kPause);
    fixture.acceptor->tick();
    fixture.turns(20);
    assert_int_equal(fixture.accepted.size(), kSize);
    // What becomes free is the reserve's first.
    fixture.accepted.erase(fixture.accepted.begin());
    fixture.reserve.refill();
    assert_false(fixture.reserve.is_whole());
    fixture.acceptor->stop();
    fixture.accepted.clear();
    fixture.reserve.refill();
    assert_true(fixture.reserve.is_whole());
}

static void test_reserves_of_a_table_are_whole_together(void**) {
    std::atomic<uint32_t> missing{0};
    const DescriptorReserve one(&missing);
    {
        DescriptorReserve other(&missing);
        assert_true(one.is_whole());
        assert_true(other.lend());
        assert_false(one.is_whole());
        other.refill();
        assert_true(one.is_whole());
        for (size_t i = 0; i < DescriptorReserve::kSize; ++i)
            assert_true(other.lend());
        assert_false(other.lend());
        assert_int_equal(missing.load(), DescriptorReserve::kSize);
    }
    assert_true(one.is_whole()); // who has gone lacks nothing
}

static void test_a_reserve_that_is_made_is_not_missed(void**) {
    std::atomic<uint32_t> missing{0};
    const DescriptorReserve one(&missing);
    std::atomic<bool> is_over{false};
    std::thread others([&] {
        for (int i = 0; i < 2000; ++i)
            const DescriptorReserve other(&missing);
        is_over = true;
    });
    bool was_whole = true;
    while (!is_over)
        was_whole = was_whole && one.is_whole();
    others.join();
    assert_true(was_whole);
}

// A storm: more than are accepted without a rest, fewer than a turn takes.
static std::vector<Descriptor> storm(Fixture& fixture) {
    std::vector<Descriptor> clients;
    for (int i = 0; i < 2 * Acceptor::kStorm; ++i)
        clients.push_back(fixture.connect_to());
    fixture.turns(1);
    assert_int_equal(fixture.accepted.size(), clients.size());
    return clients;
}

static void test_rests_in_a_storm(void**) {
    Fixture fixture;
    const int64_t from = monotonic_micros();
    std::vector<Descriptor> clients = storm(fixture);
    clients.push_back(fixture.connect_to());
    while (fixture.accepted.size() < clients.size())
        fixture.loop.turn(Loop::Wait::ForEvents); // of which there is none but the rest's end
    assert_true(monotonic_micros() - from >= Acceptor::kRestMicros);
    // It was the last one: who comes now is taken at once.
    usleep(static_cast<useconds_t>(2 * Acceptor::kRestMicros));
    clients.push_back(fixture.connect_to());
    fixture.turns(1);
    assert_int_equal(fixture.accepted.size(), clients.size());
}

static void test_stops_while_it_rests(void**) {
    Fixture fixture;
    std::vector<Descriptor> clients = storm(fixture);
    clients.push_back(fixture.connect_to());
    fixture.acceptor->stop();
    usleep(static_cast<useconds_t>(2 * Acceptor::kRestMicros));
    fixture.turns(3);
    assert_int_equal(fixture.accepted.size(), clients.size() - 1);
}

static void test_descriptors_run_out_while_it_rests(void**) {
    Fixture fixture;
    std::vector<Descriptor> clients = storm(fixture);
    const size_t before = fixture.accepted.size();
    for (int i = 0; i < Acceptor::kSparesPerPause + 2; ++i)
        clients.push_back(fixture.connect_to());
    {
        const Shortage shortage(1);
        usleep(static_cast<useconds_t>(2 * Acceptor::kRestMicros));
        fixture.turns(20);
        assert_int_equal(fixture.accepted.size(), before + 1);
        assert_int_equal(fixture.exhausted, 1);
    }
    fixture.clock.advance(Acceptor::kPause);
    fixture.acceptor->tick();
    fixture.turns(3);
    assert_int_equal(fixture.accepted.size(), before + 2); // those between them were refused
}

// More may come than its owner lets in: they wait, and no event of theirs wakes the loop meanwhile.
static void test_holds_back(void**) {
    Fixture fixture;
    fixture.allowed = 2;
    std::vector<Descriptor> clients;
    for (int i = 0; i < 5; ++i)
        clients.push_back(fixture.connect_to());
    fixture.turns(1);
    assert_int_equal(fixture.accepted.size(), 2);
    const int64_t from = monotonic_micros();
    while (monotonic_micros() - from < 5 * fixture.hold_micros)
        fixture.turns(1);
    assert_int_equal(fixture.accepted.size(), 2);
    assert_int_equal(fixture.held, 0); // told when they come in
    fixture.allowed = 4;
    while (fixture.accepted.size() < 4)
        fixture.loop.turn(Loop::Wait::ForEvents);
    assert_int_equal(fixture.held, 1);
    fixture.allowed = SIZE_MAX;
    while (fixture.accepted.size() < 5)
        fixture.loop.turn(Loop::Wait::ForEvents);
    assert_int_equal(fixture.held, 2);
    fixture.turns(20);
    clients.push_back(fixture.connect_to());
    fixture.turns(2);
    assert_int_equal(fixture.accepted.size(), 6); // it goes on as before
}

// Where nobody waited, nobody was held.
static void test_holds_nobody(void**) {
    Fixture fixture;
    fixture.allowed = 1;
    const Descriptor client = fixture.connect_to();
    fixture.turns(1);
    assert_int_equal(fixture.accepted.size(), 1);
    fixture.allowed = SIZE_MAX;
    fixture.loop.turn(Loop::Wait::ForEvents); // the rest's end
    const Descriptor next = fixture.connect_to();
    fixture.turns(2);
    assert_int_equal(fixture.accepted.size(), 2);
    assert_int_equal(fixture.held, 0);
}

// A rate that a reload has changed is not waited for.
static void test_a_long_hold_is_looked_at_again(void**) {
    Fixture fixture;
    fixture.allowed = 0;
    fixture.hold_micros = 3'600'000'000;
    const Descriptor client = fixture.connect_to();
    fixture.turns(1);
    assert_int_equal(fixture.accepted.size(), 0);
    fixture.allowed = SIZE_MAX;
    fixture.loop.turn(Loop::Wait::ForEvents);
    assert_int_equal(fixture.accepted.size(), 1);
}

static void test_stop(void**) {
    Fixture fixture;
    fixture.acceptor->stop();
    const Descriptor probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(fixture.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_not_equal(
        connect(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    fixture.turns(2);
    assert_int_equal(fixture.accepted.size(), 0);
}

static void test_an_address_is_not_shared_with_strangers(void**) {
    Fixture fixture;
    assert_false(expect_free("127.0.0.1", fixture.port).ok());
    assert_false(expect_free("0.0.0.0", fixture.port).ok());
    assert_true(listen_inet("127.0.0.1", fixture.port, 1).ok());
    assert_true(expect_free("127.0.0.1", 0).ok());
    assert_false(listen_inet("localhost", 0, 1).ok()); // a literal is wanted
    assert_false(expect_free("localhost", 0).ok());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_opens_nothing_without_descriptors),
        cmocka_unit_test(test_rests_when_descriptors_run_out),
        cmocka_unit_test(test_does_not_rest_when_all_are_refused),
        cmocka_unit_test(test_the_reserve_serves_whom_it_is_for),
        cmocka_unit_test(test_reserves_of_a_table_are_whole_together),
        cmocka_unit_test(test_a_reserve_that_is_made_is_not_missed),
        cmocka_unit_test(test_rests_in_a_storm),
        cmocka_unit_test(test_stops_while_it_rests),
        cmocka_unit_test(test_descriptors_run_out_while_it_rests),
        cmocka_unit_test(test_holds_back),
        cmocka_unit_test(test_holds_nobody),
        cmocka_unit_test(test_a_long_hold_is_looked_at_again),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_an_address_is_not_shared_with_strangers),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
