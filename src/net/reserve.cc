// SPDX-License-Identifier: Apache-2.0
#include "net/reserve.h"

#include <fcntl.h>

namespace fanhorn {

DescriptorReserve::DescriptorReserve(std::atomic<uint32_t>* missing)
    : missing_(missing ? *missing : own_missing_) {
    open_missing();
    missing_ += static_cast<uint32_t>(kSize - count_);
}

DescriptorReserve::~DescriptorReserve() {
    missing_ -= static_cast<uint32_t>(kSize - count_);
}

bool DescriptorReserve::lend() {
    if (count_ == 0)
        return false;
    kept_[--count_].reset();
    ++missing_;
    return true;
}

void DescriptorReserve::refill() {
    const size_t before = count_;
    open_missing();
    missing_ -= static_cast<uint32_t>(count_ - before);
}

void DescriptorReserve::open_missing() {
    while (count_ < kSize) {
        Descriptor opened(open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!opened)
            return;
        kept_[count_++] = std::move(opened);
    }
}

} // namespace fanhorn
