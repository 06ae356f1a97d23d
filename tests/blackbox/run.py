#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test_*.py (or those named; but none named with --without=NAME) in processes of their
own, some at a time: they mostly wait.

A daemon under a sanitizer is many times slower, and a test may meet an order of things that the real
one never shows. A file that fails there is run once more, alone and told so; but not where the
sanitizer or a CHECK has reported something, or a daemon has died.

Ends with one line, `N passed, N failed, N skipped`; fails on a failure, and in CI (CI=true or
FANHORN_NO_SKIP=1) on a skip as well."""

import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

import handover
from harness import has_part

HERE = Path(__file__).resolve().parent
SOAK = bool(os.environ.get("FANHORN_SOAK"))
HANDOVER = bool(os.environ.get("FANHORN_HANDOVER"))
SLOW = 4 if os.environ.get("FANHORN_SANITIZED") else 1
FILE_TIMEOUT = 3600 if SOAK else 240 * SLOW
JOBS = int(os.environ.get("FANHORN_JOBS", "3" if SLOW > 1 else "4"))
# The longest first, so that the processes end together.
FIRST = ["test_dashboard", "test_faults", "test_auth", "test_attack_messages", "test_ctl_bench", "test_soak", "test_limits",
         "test_upgrade_failures", "test_upgrade_process", "test_upgrade_halves", "test_presence", "test_bridge",
         "test_heartbeat", "test_tls", "test_ctl", "test_memory", "test_signals",
         "test_redis_cluster", "test_redis_people", "test_redis_sentinel", "test_attack_slow", "test_http2_floods",
         "test_slow", "test_poll", "test_chaos", "test_order"]
MARK = "RESULT"


# Files about what a build may have left out, by the word that `fanhorn -V` has then.
PARTS = {"broker_redis": ("test_redis", "test_attack_redis"), "broker_nats": ("test_nats",), "http2": ("test_http2",)}


def is_left_out(name):
    return any(name.startswith(begins) and not has_part(word) for word, begins in PARTS.items())


def tests_in(suite):
    for each in suite:
        yield from tests_in(each) if isinstance(each, unittest.TestSuite) else (each,)


def handed_over(suite):
    """Those that are run while their daemons are upgraded again and again."""
    chosen = unittest.TestSuite()
    for test in tests_in(suite):
        if why := handover.reason_against(test.id()):
            print(f"LEFT OUT {test.id()}: {why}")
        else:
            chosen.addTest(test)
    return chosen


def run_one(name):
    """In the child: one file's tests; its last line is the counts."""
    sys.path.insert(0, str(HERE))
    suite = unittest.defaultTestLoader.loadTestsFromNames([name])
    if HANDOVER:
        suite = handed_over(suite)
    result = unittest.TextTestRunner(sys.stdout, verbosity=1, buffer=False).run(suite)
    for test, why in result.skipped:
        print(f"SKIPPED {test}: {why}")
    # A test with several failed subtests is one failed test.
    failed = len({getattr(test, "test_case", test).id() for test, _ in result.failures + result.errors})
    passed = max(result.testsRun - failed - len(result.skipped), 0)
    if HANDOVER:
        print(f"UPGRADES {handover.totals['upgraded']}, {handover.totals['refused']} refused")
    print(MARK, passed, failed, len(result.skipped))
    sys.exit(bool(failed))


def run_child(name):
    """(passed, failed, skipped, output) of one file."""
    child = subprocess.Popen([sys.executable, __file__, "--child", name], cwd=HERE, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    try:
        output, _ = child.communicate(timeout=FILE_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        output = child.communicate()[0] + f"\n{name}: no end within {FILE_TIMEOUT} s"
    counts = [line.split()[1:] for line in output.splitlines() if line.startswith(MARK + " ")]
    passed, failed, skipped = map(int, counts[-1]) if counts else (0, 1, 0)
    if child.returncode and not failed:
        failed = 1
    return passed, failed, skipped, output


def select(names):
    """The modules to run: a name, an unfinished name, or a test inside (test_sse.Sse.test_x)."""
    found = sorted(path.stem for path in HERE.glob("test_*.py"))
    without = [name.split("=", 1)[1] for name in names if name.startswith("--without=")]
    names = [name for name in names if not name.startswith("--")]
    found = [name for name in found if name not in without]
    if names:
        return [name.removesuffix(".py") if name.startswith("test_") else f"test_{name}" for name in names]
    for name in [name for name in found if is_left_out(name)]:
        print(f"left out {name}: so is its part of this build")
        found.remove(name)
    return sorted(found, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


# What a daemon that is in the wrong leaves behind, see harness.py.
FAULTS = ("Sanitizer", "runtime error", "sanitizer or check report", "the daemon died", "ended early")


def may_be_slowness(counts, output):
    return SLOW > 1 and counts[1] and not any(fault in output for fault in FAULTS)


def tell(name, verdict, counts, output, seconds):
    passed, failed, skipped = counts
    print(f"{verdict:6} {name}: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.1f} s", flush=True)
    if failed or SOAK:  # whose tests tell figures
        print(output, flush=True)
    else:
        for line in output.splitlines():
            if line.startswith(("SKIPPED", "LEFT OUT", "UPGRADES")):
                print(f"    {line}", flush=True)


def main(names):
    waiting, late, totals, lock = select(names), [], [0, 0, 0], threading.Lock()

    def run(name, is_first):
        start = time.monotonic()
        *counts, output = run_child(name)
        with lock:
            is_late = is_first and may_be_slowness(counts, output)
            tell(name, "LATE" if is_late else "FAILED" if counts[1] else "ok", counts, output, time.monotonic() - start)
            if is_late:
                late.append(name)
                return
            for index, count in enumerate(counts):
                totals[index] += count

    def work():
        while True:
            with lock:
                if not waiting:
                    return
                name = waiting.pop(0)
            run(name, True)

    threads = [threading.Thread(target=work) for _ in range(JOBS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in late:
        run(name, False)
    passed, failed, skipped = totals
    if late:
        print(f"passed or failed alone, having failed beside others: {' '.join(late)}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    no_skip = os.environ.get("CI") == "true" or os.environ.get("FANHORN_NO_SKIP") == "1"
    return 1 if failed or not passed or (no_skip and skipped) else 0


if __name__ == "__main__":
    # Whom a shell runs in the background it has ignore this, and all that he starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1:2] == ["--child"]:
        run_one(sys.argv[2])
    sys.exit(main(sys.argv[1:]))
