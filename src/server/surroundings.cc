// SPDX-License-Identifier: Apache-2.0
#include "server/surroundings.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fanhorn {

namespace {

constexpr size_t kChunk = 4096;

struct File {
    int descriptor;
    ~File() {
        if (descriptor >= 0)
            close(descriptor);
    }
};

} // namespace

// Straight into the text, which has room for the whole file: nothing else then holds what may be a
// secret.
Result<std::string> SystemSurroundings::read(const std::string& path) const {
    const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat facts {};
    if (file.descriptor < 0 || fstat(file.descriptor, &facts) != 0)
        return Error{std::strerror(errno)};
    std::string text;
    text.reserve(std::min(static_cast<size_t>(facts.st_size), kMaxFileBytes) + kChunk);
    for (size_t size = 0;;) {
        text.resize(size + kChunk);
        const ssize_t got = ::read(file.descriptor, text.data() + size, kChunk);
        if (got < 0 && errno == EINTR)
            continue;
        size += static_cast<size_t>(std::max<ssize_t>(got, 0));
        text.resize(size);
        if (got < 0)
            return Error{std::strerror(errno)};
        if (size > kMaxFileBytes)
            return Error{"has more than 1 MiB"};
        if (got == 0)
            return text;
    }
}

Result<std::vector<std::string>> SystemSurroundings::matching(const std::string& glob) const {
    glob_t found = {};
    // Unsorted: glob would sort by the locale, and the order of drop-ins must not depend on it.
    int status = ::glob(glob.c_str(), GLOB_NOSORT | GLOB_ERR, nullptr, &found);
    std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    globfree(&found);
    // A folder that is not there matches nothing: GLOB_ERR reports it as GLOB_ABORTED.
    if (status == GLOB_ABORTED && errno != ENOENT && errno != ENOTDIR)
        return Error{std::strerror(errno)};
    if (status == GLOB_NOSPACE)
        return Error{"out of memory"};
    std::sort(paths.begin(), paths.end());
    return paths;
}

std::optional<std::string> SystemSurroundings::variable(const std::string& name) const {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
}

Result<std::vector<PeerAddress>> SystemSurroundings::resolve(const std::string& host,
                                                             const std::string& port) const {
    return resolve_host(host, port);
}

} // namespace fanhorn
