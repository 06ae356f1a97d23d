// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value, or the reason why the world would not give one.
#pragma once

#include "base/check.h"

#include <optional>
#include <string>
#include <utility>

namespace fanhorn {

// What went wrong, in words for a person. The callee says what, the caller prefixes where.
struct Error {
    std::string text;
};

template <typename T> class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(std::move(error)) {}

    bool ok() const { return value_.has_value(); }
    explicit operator bool() const { return ok(); }

    // CHECKs that there is a value.
    T& value() {
        CHECK(ok());
        return *value_;
    }
    const T& value() const {
        CHECK(ok());
        return *value_;
    }
    T& operator*() { return value(); }
    const T& operator*() const { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    // Empty text when ok().
    const std::string& error() const { return error_.text; }

  private:
    std::optional<T> value_;
    Error error_;
};

// Success, or an Error.
template <> class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : failed_(true), error_(std::move(error)) {}
    bool ok() const { return !failed_; }
    explicit operator bool() const { return ok(); }
    const std::string& error() const { return error_.text; }

  private:
    bool failed_ = false;
    Error error_;
};

} // namespace fanhorn
