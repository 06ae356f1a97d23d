# SPDX-License-Identifier: Apache-2.0
"""What this machine has room for: connections with both ends on it."""

import resource
from pathlib import Path

EACH = 10_500  # bytes a connection: 8,900 of the kernel's for both ends, the rest user space
SPARE = 2 << 30  # bytes that are left alone
PORTS_EACH = 25_000  # of one source address
STEP = 50_000
OTHERS = 100  # descriptors of a process that are no connections


def number(file):
    return int(Path(file).read_text().split()[0])


def memory_available():
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def bounds(step):
    """Most connections that each resource allows."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if descriptors == resource.RLIM_INFINITY:
        descriptors = number("/proc/sys/fs/nr_open")
    return {
        "memory": max(0, memory_available() - SPARE) // EACH,
        "fs.file-max": number("/proc/sys/fs/file-max") // 2,
        "fs.epoll.max_user_watches": number("/proc/sys/fs/epoll/max_user_watches") // 2,
        "the load generator's descriptors": step["processes"] * (descriptors - OTHERS),
        "loopback ports": step["sources"] * PORTS_EACH,
    }


def fit(step):
    """The step with no more subscribers than there is room for, and why it has fewer."""
    what, most = min(bounds(step).items(), key=lambda bound: bound[1])
    if most >= step["subscribers"]:
        return step, []
    allowed = max(STEP, most // STEP * STEP)
    return {**step, "subscribers": allowed}, [
        f"{allowed:,} connections instead of {step['subscribers']:,}: {what} is enough for {most:,}"]
