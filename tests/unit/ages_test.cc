// SPDX-License-Identifier: Apache-2.0
#include "server/ages.h"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "test.h"

using namespace fanhorn;

namespace {

struct Element {
    Hook hook;
};
using Elements = Ages<Element, &Element::hook>;

} // namespace

static void those_whose_time_has_come(void**) {
    std::array<Element, 4> elements;
    Elements ages;
    ages.add(elements[0], 0);
    ages.add(elements[1], 5000);
    ages.add(elements[2], 2001);
    ages.add(elements[3], 2001);
    assert_null(ages.due(2001));
    assert_ptr_equal(ages.due(3000), &elements[2]); // within the second
    elements[2].hook.unlink();
    assert_ptr_equal(ages.due(3000), &elements[3]);
    elements[3].hook.unlink();
    assert_null(ages.due(4999));
    assert_ptr_equal(ages.due(5000), &elements[1]);
    elements[1].hook.unlink();
    assert_null(ages.due(1'000'000'000'000)); // who need not go never is
}

// Those that need not come last, in the order in which they came.
static void who_is_first(void**) {
    std::array<Element, 4> elements;
    Elements ages;
    assert_null(ages.front());
    ages.add(elements[0], 0);
    ages.add(elements[1], 0);
    ages.add(elements[2], 9000);
    ages.add(elements[3], 1000);
    for (const int expected : {3, 2, 0, 1}) {
        assert_ptr_equal(ages.front(), &elements[static_cast<size_t>(expected)]);
        elements[static_cast<size_t>(expected)].hook.unlink();
    }
    assert_null(ages.front());
}

static void who_left_leaves_nothing(void**) {
    Elements ages;
    {
        std::vector<std::unique_ptr<Element>> elements;
        for (Millis second = 0; second < 1000; ++second) {
            elements.push_back(std::make_unique<Element>());
            ages.add(*elements.back(), 3'600'000 + second * 1000);
        }
        assert_int_equal(ages.list_count(), 1000);
    }
    Element other;
    ages.add(other, 3'600'000);
    assert_null(ages.due(60'000));
    assert_int_equal(ages.list_count(), 1);
}

static void a_fifth_more_or_less(void**) {
    std::array<int, 4> quarters{};
    for (int i = 0; i < 4000; ++i) {
        const Millis age = jittered_age(10'000);
        assert_in_range(age, 8000, 12'000);
        ++quarters[static_cast<size_t>(std::min<Millis>((age - 8000) / 1000, 3))];
    }
    for (const int count : quarters)
        assert_in_range(count, 800, 1200);
    assert_int_equal(jittered_age(1), 1);
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(those_whose_time_has_come),
        cmocka_unit_test(who_is_first),
        cmocka_unit_test(who_left_leaves_nothing),
        cmocka_unit_test(a_fifth_more_or_less),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
