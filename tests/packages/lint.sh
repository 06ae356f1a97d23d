#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lintian has nothing against the .deb, the unit gives the daemon away less than 2 points of
# systemd's exposure, and its filter of system calls lets through those that the daemon makes.
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
check() {
    echo "-- $1"
    if "${@:2}"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
calls_of() { # @GROUP: its system calls, with those of the groups in it
    systemd-analyze syscall-filter "$1" | sed -n 's/^    \([-@a-z0-9_]*\)$/\1/p' |
        while read -r each; do
            case $each in @*) calls_of "$each" ;; *) echo "$each" ;; esac
        done
}
permits() { # CALL... by the lines SystemCallFilter= of the unit
    local allowed denied call
    allowed=$(calls_of @system-service) denied=$(calls_of @privileged)
    for call; do
        grep -qx "$call" <<<"$allowed" || { echo "$call is not allowed"; return 1; }
        ! grep -qx "$call" <<<"$denied" || { echo "$call is denied"; return 1; }
    done
}
unprivileged=
[ "$(id -u)" = 0 ] && unprivileged=--allow-root
check lintian lintian $unprivileged --fail-on error,warning build/pkg/*.changes
check "exposure of the unit" systemd-analyze security --offline=yes --threshold=20 --no-pager \
    packaging/systemd/fanhorn.service >build/pkg/security.log
tail -n 1 build/pkg/security.log
check "system calls of the unit" permits accept4 clone3 epoll_ctl epoll_wait io_uring_enter \
    io_uring_register io_uring_setup prctl sendmsg socketpair timerfd_create unshare
echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
