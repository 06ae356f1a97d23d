#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lintian has nothing against the .deb that its overrides do not explain, nor rpmlint against the .rpm;
# systemd reads the unit, and gives it less than 2 points of exposure; its filter lets through the
# system calls that the daemon makes; AppArmor's parser reads the profile; the completions know every
# option.
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
verified() { # the unit, which names programs that are not installed here
    sed 's,=/usr/sbin/fanhorn.*,=/bin/true,' packaging/systemd/fanhorn.service >build/pkg/fanhorn.service
    local said
    said=$(systemd-analyze verify --man=no --recursive-errors=no build/pkg/fanhorn.service 2>&1)
    [ -z "$said" ] || { echo "$said"; return 1; }
}
checks_first() { # a reload
    [ "$(sed -n 's/^ExecReload=//p' packaging/systemd/fanhorn.service | head -n 1)" = \
        "$(sed -n 's/^ExecStart=\(\S*\)/\1 -t/p' packaging/systemd/fanhorn.service)" ]
}
upgrades_in_peace() { # nothing of the package's scripts stops or restarts the daemon then
    local scripts=$PWD/build/pkg/scripts
    rm -rf "$scripts"
    dpkg-deb -e build/pkg/fanhorn_*.deb "$scripts"
    ! grep -nE 'invoke .*restart|systemctl .*restart' "$scripts"/p* &&
        grep -B 1 'invoke stop' "$scripts/prerm" | grep -q '"$1" = remove'
}
completes() { # with the programs of the package
    local root=$PWD/build/pkg/root
    rm -rf "$root"
    dpkg-deb -x build/pkg/fanhorn_*.deb "$root" && PATH=$root/usr/bin:$root/usr/sbin:$PATH tests/packages/completion.sh
}
unprivileged=
[ "$(id -u)" = 0 ] && unprivileged=--allow-root
check lintian lintian $unprivileged --display-info --pedantic --fail-on error,warning,info,pedantic build/pkg/*.changes
check rpmlint rpmlint --strict --config packaging/rpm/rpmlint.toml build/pkg/*.rpm
check "the unit" verified
check "its reload checks first" checks_first
check "the AppArmor profile" apparmor_parser --skip-kernel-load --skip-cache packaging/apparmor/usr.sbin.fanhorn
check "an upgrade cuts nothing" upgrades_in_peace
check "completion in bash and zsh" completes
check "exposure of the unit" systemd-analyze security --offline=yes --threshold=20 --no-pager \
    packaging/systemd/fanhorn.service >build/pkg/security.log
tail -n 1 build/pkg/security.log
check "system calls of the unit" permits accept4 clone3 epoll_ctl epoll_wait execve io_uring_enter \
    io_uring_register io_uring_setup memfd_create prctl sendmsg socketpair timerfd_create unshare vfork wait4
echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
