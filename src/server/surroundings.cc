// SPDX-License-Identifier: Apache-2.0
#include "server/surroundings.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <glob.h>
#include <memory>

namespace fanhorn {

namespace {

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

} // namespace

Result<std::string> SystemSurroundings::read(const std::string& path) const {
    std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
    if (!file)
        return Error{std::strerror(errno)};
    std::string text;
    char chunk[16 << 10];
    errno = 0;
    while (size_t length = std::fread(chunk, 1, sizeof chunk, file.get())) {
        text.append(chunk, length);
        if (text.size() > kMaxFileBytes)
            return Error{"has more than 1 MiB"};
    }
    if (std::ferror(file.get()))
        return Error{std::strerror(errno)};
    return text;
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
