// SPDX-License-Identifier: Apache-2.0
// What of a channel a subscriber wants, by the tags that the publisher gave its messages.
#pragma once

#include "base/ref.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

class Filter;
using FilterRef = Ref<const Filter>;

// Terms with commas between them, all of which must hold for a message:
//
//   k=v  k=v1|v2           a tag k has that value, or one of them
//   k!=v k!=v1|v2          no tag k has it
//   k>=x k<=x k>x k<x      a tag k is a decimal number within that bound
//
// A name ends at the first of `= < >`, or `!=`. Numbers are digits, perhaps with a fraction and a
// `-` before them, of any length and compared exactly; another value of k is within no bound.
// Immutable; any thread.
class Filter final : public AtomicCount {
  public:
    static constexpr size_t kMaxBytes = 1024;
    static constexpr size_t kMaxTerms = 16;

    // The error says what a filter is.
    static Result<FilterRef> parse(std::string_view text);

    // Terms and lists in one order, none twice, numbers without needless zeros: two filters with
    // the same text are one.
    const std::string& text() const { return text_; }
    // For the tags of a Draft or Message: k=v,k=v. Allocates nothing.
    bool matches(std::string_view tags) const;
    // The same for names and values that may have any bytes in them.
    struct Field {
        std::string name, value;
    };
    bool matches(std::span<const Field> fields) const;

  private:
    enum class Operator : uint8_t { Equal, NotEqual, AtLeast, AtMost, Above, Below };
    // Pieces of text_.
    struct Term {
        std::string_view name;
        Operator op;
        std::string_view operand;

        bool holds(std::string_view tags) const;
        bool holds(std::span<const Field> fields) const;
        bool holds_for(std::string_view value) const;
    };
    static Result<Term> parse_term(std::string_view text);
    static std::string canonical(const Term& term);

    explicit Filter(std::string text);

    const std::string text_;
    std::vector<Term> terms_;
};

} // namespace fanhorn
