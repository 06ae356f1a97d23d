// SPDX-License-Identifier: Apache-2.0
// A Redis server of a test's own, on a unix socket in a folder of its own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fanhorn {

class RedisServer {
  public:
    RedisServer() {
        char folder[] = "/tmp/fanhorn-redis-XXXXXX";
        if (!mkdtemp(folder))
            abort();
        folder_ = folder;
        start();
    }
    ~RedisServer() {
        stop();
        std::filesystem::remove_all(folder_);
    }
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    void start() {
        const std::string socket = folder_ + "/redis", log = folder_ + "/log";
        process_ = fork();
        if (process_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket.c_str(),
                   "--save", "", "--appendonly", "no", "--dir", folder_.c_str(), "--logfile",
                   log.c_str(), nullptr);
            _exit(127);
        }
        if (process_ < 0)
            abort();
    }
    void stop() {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }
    std::string url() const { return "unix:" + folder_ + "/redis"; }

  private:
    std::string folder_;
    pid_t process_ = -1;
};

} // namespace fanhorn
