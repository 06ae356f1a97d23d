// SPDX-License-Identifier: Apache-2.0
// Letters between processes, over real sockets.
#include "net/letters.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

struct Ends {
    Ends() {
        auto made = Letters::make(inherited);
        CHECK(made.ok());
        ours = std::move(*made);
        theirs = Letters(std::move(inherited));
    }
    Descriptor inherited;
    Letters ours, theirs;
};

} // namespace

static void test_text_and_descriptors(void**) {
    Ends ends;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    const Descriptor out(pipes[0]), in(pipes[1]);
    std::vector<int> many(Letters::kMaxDescriptors, in.get());
    assert_true(ends.ours.send("first", many).ok());
    assert_true(ends.ours.send(std::string(Letters::kMaxBytes, 'x')).ok());
    const auto first = ends.theirs.receive(1000);
    assert_true(first.ok());
    assert_text(first->text, "first");
    assert_int_equal(first->descriptors.size(), Letters::kMaxDescriptors);
    assert_int_equal(write(first->descriptors.back().get(), "1", 1), 1);
    char byte = 0;
    assert_int_equal(read(out.get(), &byte, 1), 1);
    assert_int_equal(fcntl(first->descriptors[0].get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    const auto second = ends.theirs.receive(1000);
    assert_int_equal(second->text.size(), Letters::kMaxBytes);
    assert_true(second->descriptors.empty());
}

static void test_one_end_is_inherited(void**) {
    Descriptor of_child;
    const auto ours = Letters::make(of_child);
    assert_int_equal(fcntl(of_child.get(), F_GETFD) & FD_CLOEXEC, 0);
    assert_int_equal(fcntl(ours->socket(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void test_nothing_comes(void**) {
    Ends ends;
    assert_text(ends.theirs.receive(0).error(), "no letter came within 0 ms");
    ends.ours = Letters();
    assert_text(ends.theirs.receive(1000).error(), "the other process has gone");
    assert_false(ends.theirs.send("x").ok());
}

static void test_memory_files(void**) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{3} << 20}) {
        std::string text(size, 'x');
        if (size)
            text.back() = 'y';
        const auto file = make_memory_file(text);
        assert_true(file.ok());
        const auto read = read_memory_file(file->get());
        assert_true(read.ok() && *read == text);
    }
    assert_false(read_memory_file(-1).ok());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_descriptors),
        cmocka_unit_test(test_one_end_is_inherited),
        cmocka_unit_test(test_nothing_comes),
        cmocka_unit_test(test_memory_files),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
