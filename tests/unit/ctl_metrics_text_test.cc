// SPDX-License-Identifier: Apache-2.0
// fanhornctl's reading of /metrics, and its estimates from histograms.
#include "ctl/metrics_text.h"

#include <cmath>

#include "test.h"

using namespace fanhorn::ctl;

static void test_samples(void**) {
    const auto samples = parse_metrics("# HELP a What.\n# TYPE a gauge\na 1\n\n"
                                       "b{x=\"one\"} 2.5\nb{x=\"t} w\\\"o\"} 3e2\nc{x=\"\"} 4\n"
                                       "nothing\nd +Inf");
    const struct {
        const char *name, *label;
        double value;
    } kExpected[] = {{"a", "", 1},
                     {"b", "one", 2.5},
                     {"b", "t} w\\\"o", 300},
                     {"c", "", 4},
                     {"d", "", INFINITY}};
    assert_int_equal(samples.size(), std::size(kExpected));
    for (size_t i = 0; i < samples.size(); ++i) {
        assert_text(samples[i].name, kExpected[i].name);
        assert_text(samples[i].label, kExpected[i].label);
        assert_row(samples[i].name, samples[i].value == kExpected[i].value);
    }
    assert_true(sample_value(samples, "a") == 1);
    assert_true(sample_value(samples, "z") == 0);
}

static void test_quantiles(void**) {
    // 10 values up to 1 s, 80 from 1 to 2 s, none from 2 to 4 s, 10 above.
    const auto samples =
        parse_metrics("t_bucket{le=\"1.0\"} 10\nt_bucket{le=\"2.0\"} 90\nt_bucket{le=\"4.0\"} 90\n"
                      "t_bucket{le=\"+Inf\"} 100\nt_sum 1\nt_count 100\n");
    const struct {
        double share, expected;
    } kRows[] = {{0.05, 0.5}, {0.1, 1}, {0.5, 1.5}, {0.9, 2}, {0.95, INFINITY}};
    for (const auto& row : kRows) {
        const auto value = quantile(samples, "t", row.share);
        assert_true(value.has_value());
        assert_row(std::to_string(row.share),
                   *value == row.expected || std::abs(*value - row.expected) < 1e-9);
    }
}

static void test_quantiles_without_values(void**) {
    assert_false(
        quantile(parse_metrics("t_bucket{le=\"+Inf\"} 0\nt_count 0\n"), "t", 0.5).has_value());
    assert_false(quantile({}, "t", 0.5).has_value());
    // Counted while they were printed: the count runs ahead of the buckets.
    const auto torn = parse_metrics("t_bucket{le=\"1.0\"} 1\nt_count 9\n");
    assert_true(std::isinf(quantile(torn, "t", 0.99).value()));
}

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_quantiles_without_values),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
