// SPDX-License-Identifier: Apache-2.0
// A NATS server of a test's own, with JetStream, on a port that it chooses, in a folder of its own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fanhorn {

class NatsServer {
  public:
    NatsServer() {
        char folder[] = "/tmp/fanhorn-nats-XXXXXX";
        if (!mkdtemp(folder))
            abort();
        folder_ = folder;
        start();
        find_port();
    }
    ~NatsServer() {
        stop();
        std::filesystem::remove_all(folder_);
    }
    NatsServer(const NatsServer&) = delete;
    NatsServer& operator=(const NatsServer&) = delete;

    // On the same port.
    void start() {
        const std::string log = folder_ + "/log", port = port_.empty() ? "-1" : port_;
        process_ = fork();
        if (process_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", port.c_str(), "-js",
                   "-sd", folder_.c_str(), "-l", log.c_str(), "--ports_file_dir", folder_.c_str(),
                   nullptr);
            _exit(127);
        }
        if (process_ < 0)
            abort();
    }
    void stop() {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }
    void forget() { std::filesystem::remove_all(folder_ + "/jetstream"); }
    std::string url() const { return "nats://127.0.0.1:" + port_; }

  private:
    // {"nats":["nats://127.0.0.1:PORT"]}
    void find_port() {
        const std::string path = folder_ + "/nats-server_" + std::to_string(process_) + ".ports";
        for (int i = 0; i < 10'000 && port_.empty(); ++i) { // ten seconds
            std::ifstream file(path);
            const std::string text{std::istreambuf_iterator<char>(file), {}};
            const size_t colon = text.rfind(':');
            const size_t end = text.find('"', colon);
            if (text.ends_with('}') && end != text.npos)
                port_ = text.substr(colon + 1, end - colon - 1);
            usleep(1000);
        }
        if (port_.empty())
            abort();
    }

    std::string folder_, port_;
    pid_t process_ = -1;
};

} // namespace fanhorn
