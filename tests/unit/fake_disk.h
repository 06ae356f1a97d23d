// SPDX-License-Identifier: Apache-2.0
// Files in memory that remember what was synced, whose calls fail when a test says so, and that
// lose their power.
#pragma once

#include "modules/disk.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace fanhorn {

// Outlives the disks that work on it, as a folder does.
struct FakeFolder {
    struct File {
        std::string bytes;
        size_t synced = 0;
        bool has_lied = false; // a sync failed: what it did not write stays unwritten
    };
    std::map<std::string, File> files;
    bool is_held = false;
    size_t room = SIZE_MAX; // for all of them
    size_t calls = 0;
    std::function<bool(size_t call)> fails = [](size_t) { return false; };

    bool fails_now() { return fails(++calls); }
    size_t bytes() const {
        size_t all = 0;
        for (const auto& [name, file] : files)
            all += file.bytes.size();
        return all;
    }
    // What was not synced is gone, but for `kept` bytes of it.
    void lose_power(size_t kept = 0) {
        for (auto& [name, file] : files) {
            file.bytes.resize(std::min(file.bytes.size(), file.synced + kept));
            file.synced = file.bytes.size();
            file.has_lied = false;
        }
        is_held = false;
    }
};

class FakeFile final : public DiskFile {
  public:
    FakeFile(std::shared_ptr<FakeFolder> folder, std::string name)
        : folder_(std::move(folder)), name_(std::move(name)) {}
    Result<void> append(std::string_view bytes) override {
        if (folder_->fails_now()) {
            file().bytes += bytes.substr(0, bytes.size() / 2);
            return Error{"append failed"};
        }
        const size_t room = folder_->room - std::min(folder_->room, folder_->bytes());
        file().bytes += bytes.substr(0, room);
        return bytes.size() <= room ? Result<void>() : Error{"it is full"};
    }
    Result<void> sync() override {
        if (folder_->fails_now()) {
            file().has_lied = true;
            return Error{"sync failed"};
        }
        if (!file().has_lied)
            file().synced = file().bytes.size();
        return {};
    }
    void cut(uint64_t size) override {
        if (!folder_->fails_now())
            file().bytes.resize(size);
    }

  private:
    FakeFolder::File& file() { return folder_->files[name_]; }
    const std::shared_ptr<FakeFolder> folder_;
    const std::string name_;
};

class FakeDisk final : public Disk {
  public:
    explicit FakeDisk(std::shared_ptr<FakeFolder> folder) : folder_(std::move(folder)) {}
    ~FakeDisk() override {
        if (is_holder_)
            folder_->is_held = false;
    }
    Result<void> open() override {
        if (folder_->fails_now() || folder_->is_held)
            return Error{"open failed"};
        folder_->is_held = is_holder_ = true;
        return {};
    }
    Result<std::vector<std::string>> names() override {
        if (folder_->fails_now())
            return Error{"names failed"};
        std::vector<std::string> names;
        for (const auto& [name, file] : folder_->files)
            names.push_back(name);
        return names;
    }
    uint64_t bytes() override { return folder_->bytes(); }
    Result<std::string> read(const std::string& name) override {
        if (folder_->fails_now())
            return Error{"read failed"};
        return folder_->files.at(name).bytes;
    }
    Result<std::unique_ptr<DiskFile>> create(const std::string& name) override {
        if (folder_->fails_now())
            return Error{"create failed"};
        folder_->files[name] = {};
        return std::unique_ptr<DiskFile>(std::make_unique<FakeFile>(folder_, name));
    }
    Result<void> sync(const std::string& name) override {
        if (folder_->fails_now())
            return Error{"sync failed"};
        FakeFolder::File& file = folder_->files.at(name);
        if (!file.has_lied)
            file.synced = file.bytes.size();
        return {};
    }
    Result<void> remove(const std::string& name) override {
        if (folder_->fails_now())
            return Error{"remove failed"};
        folder_->files.erase(name);
        return {};
    }

  private:
    const std::shared_ptr<FakeFolder> folder_;
    bool is_holder_ = false;
};

} // namespace fanhorn
