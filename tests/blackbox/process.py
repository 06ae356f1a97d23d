# SPDX-License-Identifier: Apache-2.0
"""What the system says of a running daemon."""

import os

SANITIZED = bool(os.environ.get("FANHORN_SANITIZED"))  # their allocators keep what was freed


def resident(pid):
    """The process's anonymous memory, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def descriptors(pid):
    """What each of its open descriptors is, by number."""
    folder, names = f"/proc/{pid}/fd", {}
    for name in os.listdir(folder):
        try:
            names[int(name)] = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            pass  # closed meanwhile
    return names


def cpu_seconds(pid):
    """Of all its threads, by the scheduler's own clock."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as facts:
            total += int(facts.read().split()[0])
    return total / 1e9


def connections(daemon):
    """Those that are open, the one that asks included."""
    return sum(value for name, value in daemon.metrics().items() if name.startswith("fanhorn_connections{"))
