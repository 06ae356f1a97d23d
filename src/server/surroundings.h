// SPDX-License-Identifier: Apache-2.0
// What a configuration takes from the machine: files and the environment, behind a seam so that
// tests and the fuzzer touch neither.
#pragma once

#include "base/result.h"
#include "net/dial.h"

#include <optional>
#include <string>
#include <vector>

namespace fanhorn {

class Surroundings {
  public:
    virtual ~Surroundings() = default;

    // A whole file, at most kMaxFileBytes. The error does not name the path.
    virtual Result<std::string> read(const std::string& path) const = 0;

    // The paths that a glob(7) pattern matches, in bytewise order; none is no error.
    virtual Result<std::vector<std::string>> matching(const std::string& glob) const = 0;

    // An environment variable.
    virtual std::optional<std::string> variable(const std::string& name) const = 0;

    // What a host's name or literal address stands for, see resolve_host().
    virtual Result<std::vector<PeerAddress>> resolve(const std::string& host,
                                                     const std::string& port) const = 0;

    static constexpr size_t kMaxFileBytes = 1 << 20;
};

// The real ones. The environment is read with getenv: before other threads change it.
class SystemSurroundings final : public Surroundings {
  public:
    Result<std::string> read(const std::string& path) const override;
    Result<std::vector<std::string>> matching(const std::string& glob) const override;
    std::optional<std::string> variable(const std::string& name) const override;
    Result<std::vector<PeerAddress>> resolve(const std::string& host,
                                             const std::string& port) const override;
};

} // namespace fanhorn
