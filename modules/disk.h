// SPDX-License-Identifier: Apache-2.0
// The files of one folder, behind a seam so that a test makes any call fail.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fanhorn {

// A file that grows at its end.
class DiskFile {
  public:
    virtual ~DiskFile() = default;
    // All of it; after an error some of it may be there.
    virtual Result<void> append(std::string_view bytes) = 0;
    // Blocks until what was appended is on the disk. After an error nothing is known of it, and a
    // later success says nothing either: the kernel forgets what it could not write.
    virtual Result<void> sync() = 0;
    // Gives back what stands behind `size`, if that can be done.
    virtual void cut(uint64_t size) = 0;
};

class Disk {
  public:
    virtual ~Disk() = default;
    // Makes the folder if need be and keeps all others out of it until the Disk dies. Before all
    // else.
    virtual Result<void> open() = 0;
    virtual Result<std::vector<std::string>> names() = 0;
    // Of all files; 0 where nobody knows.
    virtual uint64_t bytes() = 0;
    virtual Result<std::string> read(const std::string& name) = 0;
    // Empty, whatever was there; the name itself is on the disk.
    virtual Result<std::unique_ptr<DiskFile>> create(const std::string& name) = 0;
    // What somebody wrote and left is on the disk.
    virtual Result<void> sync(const std::string& name) = 0;
    virtual Result<void> remove(const std::string& name) = 0;
};

std::unique_ptr<Disk> system_disk(std::string folder);

} // namespace fanhorn
