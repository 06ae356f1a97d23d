// SPDX-License-Identifier: Apache-2.0
#include "modules/disk.h"

#include "base/heap.h"

#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fanhorn {

namespace {

constexpr mode_t kFileMode = 0600, kFolderMode = 0700; // messages are nobody else's business

Error failure(const std::string& what) {
    return Error{what + ": " + std::strerror(errno)};
}

class Handle {
  public:
    explicit Handle(int fd) : fd_(fd) {}
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() {
        if (fd_ >= 0)
            close(fd_);
    }
    int get() const { return fd_; }

  private:
    const int fd_;
};

class SystemFile final : public DiskFile {
  public:
    SystemFile(int fd, std::string path) : handle_(fd), path_(std::move(path)) {}

    Result<void> append(std::string_view bytes) override {
        while (!bytes.empty()) {
            const ssize_t written = write(handle_.get(), bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR)
                continue;
            if (written < 0)
                return failure("write " + path_);
            bytes.remove_prefix(static_cast<size_t>(written));
        }
        return {};
    }
    Result<void> sync() override {
        if (fdatasync(handle_.get()) < 0)
            return failure("fdatasync " + path_);
        return {};
    }
    void cut(uint64_t size) override {
        if (ftruncate(handle_.get(), static_cast<off_t>(size)) < 0)
            return; // only for the room: what counts of the file is written elsewhere
    }

  private:
    const Handle handle_;
    const std::string path_;
};

class SystemDisk final : public Disk {
  public:
    explicit SystemDisk(std::string folder) : folder_(std::move(folder)) {}

    Result<void> open() override {
        if (mkdir(folder_.c_str(), kFolderMode) == 0) {
            if (auto synced = sync_folder(folder_ + "/.."); !synced)
                return synced;
        } else if (errno != EEXIST) {
            return failure(folder_);
        }
        // By flock, which the last copy of the descriptor holds, not the process: it can be handed
        // on.
        const std::string path = folder_ + "/lock";
        lock_ = std::make_unique<Handle>(
            ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode));
        if (lock_->get() < 0)
            return failure(path);
        if (flock(lock_->get(), LOCK_EX | LOCK_NB) < 0)
            return errno == EWOULDBLOCK ? Error{folder_ + " is held by another daemon or broker"}
                                        : failure(path);
        return {};
    }

    Result<std::vector<std::string>> names() override {
        DIR* folder = opendir(folder_.c_str());
        if (!folder)
            return failure(folder_);
        std::vector<std::string> names;
        errno = 0;
        while (const dirent* entry = readdir(folder))
            names.emplace_back(entry->d_name);
        const int error = errno;
        closedir(folder);
        errno = error;
        if (error)
            return failure(folder_);
        return names;
    }

    uint64_t bytes() override {
        uint64_t all = 0;
        const auto names = this->names();
        for (const std::string& name : names ? *names : std::vector<std::string>()) {
            struct stat facts {};
            if (stat((folder_ + "/" + name).c_str(), &facts) == 0 && S_ISREG(facts.st_mode))
                all += static_cast<uint64_t>(facts.st_size);
        }
        return all;
    }

    Result<std::string> read(const std::string& name) override {
        const std::string path = folder_ + "/" + name;
        const Handle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        struct stat facts {};
        if (file.get() < 0 || fstat(file.get(), &facts) < 0)
            return failure(path);
        std::string bytes;
        bytes.reserve(static_cast<size_t>(facts.st_size));
        use_huge_pages(bytes.data(), bytes.capacity());
        bytes.resize(static_cast<size_t>(facts.st_size));
        size_t length = 0;
        while (length < bytes.size()) {
            const ssize_t got = ::read(file.get(), bytes.data() + length, bytes.size() - length);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                return failure("read " + path);
            if (got == 0)
                break;
            length += static_cast<size_t>(got);
        }
        bytes.resize(length);
        return bytes;
    }

    Result<std::unique_ptr<DiskFile>> create(const std::string& name) override {
        const std::string path = folder_ + "/" + name;
        const int fd =
            ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
                   kFileMode);
        if (fd < 0)
            return failure(path);
        std::unique_ptr<DiskFile> file = std::make_unique<SystemFile>(fd, path);
        if (auto synced = sync_folder(folder_); !synced)
            return Error{synced.error()};
        return file;
    }

    Result<void> sync(const std::string& name) override {
        const std::string path = folder_ + "/" + name;
        const Handle file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
        if (file.get() < 0 || fsync(file.get()) < 0)
            return failure("fsync " + path);
        return {};
    }

    Result<void> remove(const std::string& name) override {
        const std::string path = folder_ + "/" + name;
        if (unlink(path.c_str()) < 0 && errno != ENOENT)
            return failure(path);
        return {};
    }

  private:
    static Result<void> sync_folder(const std::string& path) {
        const Handle folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (folder.get() < 0 || fsync(folder.get()) < 0)
            return failure("fsync " + path);
        return {};
    }

    const std::string folder_;
    std::unique_ptr<Handle> lock_;
};

} // namespace

std::unique_ptr<Disk> system_disk(std::string folder) {
    return std::make_unique<SystemDisk>(std::move(folder));
}

} // namespace fanhorn
