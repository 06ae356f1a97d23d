// SPDX-License-Identifier: Apache-2.0
#include "base/list.h"

#include <memory>

#include "tests/unit/test.h"

using namespace fanhorn;

namespace {

struct Item {
    explicit Item(char item_name) : name(item_name) {}
    char name;
    Hook hook;
    long between = 0; // so that the two hooks lie at odd offsets
    Hook other;
};
using Items = List<Item, &Item::hook>;
using Others = List<Item, &Item::other>;

template <typename L> std::string names(const L& list) {
    std::string text;
    for (Item* item = list.front(); item; item = list.next(*item))
        text += item->name;
    return text;
}

} // namespace

static void test_order(void**) {
    Item a('a'), b('b'), c('c');
    Items items;
    assert_true(items.empty());
    assert_null(items.front());
    assert_null(items.back());
    assert_null(items.pop_front());
    items.push_back(a);
    items.push_back(b);
    items.push_back(c);
    assert_text(names(items), "abc");
    assert_ptr_equal(items.back(), &c);
    assert_ptr_equal(items.pop_front(), &a);
    assert_false(a.hook.is_linked());
    assert_text(names(items), "bc");
}

static void test_unlink(void**) {
    Item a('a'), b('b'), c('c');
    Items items;
    for (Item* item : {&a, &b, &c})
        items.push_back(*item);
    b.hook.unlink();
    b.hook.unlink(); // twice is once
    assert_text(names(items), "ac");
    items.push_back(b); // and it may come back
    assert_text(names(items), "acb");
    a.hook.unlink();
    b.hook.unlink();
    c.hook.unlink();
    assert_true(items.empty());
}

static void test_owner_dies(void**) {
    Item a('a'), c('c');
    auto b = std::make_unique<Item>('b');
    Items items;
    items.push_back(a);
    items.push_back(*b);
    items.push_back(c);
    b.reset();
    assert_text(names(items), "ac");
}

static void test_list_dies(void**) {
    Item a('a'), b('b');
    {
        Items items;
        items.push_back(a);
        items.push_back(b);
    }
    assert_false(a.hook.is_linked());
    assert_false(b.hook.is_linked());
}

static void test_two_lists(void**) {
    Item a('a'), b('b');
    Items items;
    Others others;
    items.push_back(a);
    items.push_back(b);
    others.push_back(b);
    others.push_back(a);
    assert_text(names(items), "ab");
    assert_text(names(others), "ba");
    a.hook.unlink();
    assert_true(a.other.is_linked());
    assert_text(names(others), "ba");
}

static void test_splice(void**) {
    Item a('a'), b('b'), c('c'), d('d');
    Items left, right;
    left.splice_back(right); // nothing to nothing
    assert_true(left.empty());
    right.push_back(c);
    right.push_back(d);
    left.splice_back(right); // some to nothing
    assert_text(names(left), "cd");
    assert_true(right.empty());
    right.push_back(a);
    right.push_back(b);
    left.splice_back(right);
    assert_text(names(left), "cdab");
    assert_ptr_equal(left.back(), &b);
    right.push_back(*left.pop_front()); // both still work
    left.splice_back(right);
    assert_text(names(left), "dabc");
    left.clear();
    assert_true(left.empty());
    assert_false(d.hook.is_linked());
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_order),      cmocka_unit_test(test_unlink),
        cmocka_unit_test(test_owner_dies), cmocka_unit_test(test_list_dies),
        cmocka_unit_test(test_two_lists),  cmocka_unit_test(test_splice),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
