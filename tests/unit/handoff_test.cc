// SPDX-License-Identifier: Apache-2.0
// Descriptors between threads that have each their own table, with real ones.
#include "net/handoff.h"

#include <fcntl.h>
#include <thread>
#include <unistd.h>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

struct Pipe {
    Pipe() {
        int ends[2];
        CHECK(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
        out = Descriptor(ends[0]);
        in = Descriptor(ends[1]);
    }
    Descriptor out, in;
};

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

char next_byte(const Descriptor& descriptor) {
    char byte = 0;
    return read(descriptor.get(), &byte, 1) == 1 ? byte : '-';
}

} // namespace

static void test_in_order(void**) {
    Handoff handoff;
    Pipe first;
    Pipe second;
    const int fd = first.in.get();
    assert_true(handoff.send(std::move(first.in)).ok());
    assert_true(handoff.send(std::move(second.in)).ok());
    assert_false(is_open(fd)); // it is on its way only
    const Descriptor one = handoff.receive();
    const Descriptor two = handoff.receive();
    assert_int_equal(write(one.get(), "1", 1), 1);
    assert_int_equal(write(two.get(), "2", 1), 1);
    assert_int_equal(next_byte(first.out), '1');
    assert_int_equal(next_byte(second.out), '2');
    assert_int_equal(fcntl(one.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void test_nothing_waits(void**) {
    Handoff handoff;
    assert_false(static_cast<bool>(handoff.receive()));
}

static void test_what_is_none_is_refused(void**) {
    Handoff handoff;
    const auto sent = handoff.send(Descriptor());
    assert_false(sent.ok());
    assert_true(sent.error().starts_with("passing a descriptor: "));
}

static void test_full(void**) {
    Handoff handoff;
    int sent = 0;
    while (sent < 100'000 && handoff.send(Descriptor(dup(0))).ok())
        ++sent;
    assert_in_range(sent, 100, 99'999);
}

// What one thread closes or opens stays open or unknown in the other's table.
static void test_own_table(void**) {
    Handoff handoff;
    Pipe pipe;
    const int number = pipe.in.get();
    assert_true(handoff.send(std::move(pipe.in)).ok());
    bool is_own = false;
    std::thread other([&] {
        if (!own_descriptor_table().ok())
            return;
        const Descriptor received = handoff.receive();
        is_own = received && write(received.get(), "x", 1) == 1;
        close(pipe.out.get()); // only here
    });
    other.join();
    assert_true(is_own);
    assert_false(is_open(number));
    assert_int_equal(next_byte(pipe.out), 'x');
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_nothing_waits),
        cmocka_unit_test(test_what_is_none_is_refused),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_own_table),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
