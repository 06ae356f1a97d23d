// SPDX-License-Identifier: Apache-2.0
// Sends by io_uring, on real sockets.
#include "net/ring.h"

#include "net/socket.h"

#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

struct Pair {
    Pair() {
        int ends[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        ours = Descriptor(ends[0]);
        theirs = Descriptor(ends[1]);
    }
    std::string received() const {
        char bytes[4096];
        const ssize_t got = read(theirs.get(), bytes, sizeof bytes);
        return got > 0 ? std::string(bytes, static_cast<size_t>(got)) : "";
    }
    // Until it takes no more.
    void fill() const {
        const std::string much(64 << 10, 'x');
        while (send(ours.get(), much.data(), much.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        }
    }
    Descriptor ours, theirs;
};

iovec piece(std::string& text) {
    return {text.data(), text.size()};
}

// Of each test; skipped, and so counted, where the kernel has none.
std::unique_ptr<Ring> make_ring() {
    auto ring = Ring::make();
    if (!ring)
        skip();
    return ring;
}

} // namespace

static void test_a_whole_batch(void**) {
    const auto ring = make_ring();
    std::string text = "hello";
    const std::vector<Pair> pairs(Ring::kBatch);
    for (int round = 0; round < 3; ++round) { // the ring wraps
        for (const Pair& pair : pairs)
            ring->add(pair.ours.get(), piece(text));
        const auto results = ring->run();
        assert_int_equal(results.size(), Ring::kBatch);
        for (size_t i = 0; i < pairs.size(); ++i) {
            assert_int_equal(results[i], 5);
            assert_string_equal(pairs[i].received().c_str(), "hello");
        }
    }
}

// Full and broken ones are told from those that went, each in its place.
static void test_outcomes(void**) {
    const auto ring = make_ring();
    std::string text = "hello";
    const Pair full;
    full.fill();
    Pair broken;
    broken.theirs.reset();
    const Pair good;
    for (const Pair* pair : {&full, &good, const_cast<const Pair*>(&broken), &good})
        ring->add(pair->ours.get(), piece(text));
    const auto results = ring->run();
    assert_int_equal(results.size(), 4);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], 5);
    assert_int_equal(results[2], -1);
    assert_int_equal(results[3], 5);
    assert_string_equal(good.received().c_str(), "hellohello");
}

static void test_nothing_to_send(void**) {
    const auto ring = make_ring();
    assert_int_equal(ring->run().size(), 0);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_batch),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_nothing_to_send),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
