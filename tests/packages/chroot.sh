#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs build/pkg/fanhorn_*.deb into a bare Debian 12 and uses it there: check, start, publish,
# receive, reload, drain, remove, purge. Needs root. The Debian comes from where this system gets
# its own packages, once: build/bookworm.tar keeps it. It has mounts, processes and (but for the
# installing) a network of its own, so nothing is left behind and no port is taken here.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
[ "$(id -u)" = 0 ] || { echo "chroot.sh needs root" >&2; exit 1; }
if [ "${1:-}" != inside ]; then
    exec unshare --mount --pid --fork --kill-child --mount-proc "$0" inside
fi

passed=0 failed=0
check() { # WHAT COMMAND...
    if "${@:2}" >"$work/out" 2>&1; then
        passed=$((passed + 1)) && echo "ok      $1"
    else
        failed=$((failed + 1)) && echo "FAILED  $1: ${*:2}" && sed 's/^/        /' "$work/out"
    fi
}

work=$(mktemp -d /var/tmp/fanhorn-chroot.XXXXXX)
root=$work/root
trap 'umount "$root/proc" "$root/dev" "$work/net"; rm -rf --one-file-system "$work"' EXIT
in_root() { timeout 300 chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"; }

# "URI SUITE" of each of this system's sources that is Debian's own.
sources() {
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(CODENAME)' \
        'Created-By: Packages' | sed -n 's/^Debian main //p' | grep -E ' bookworm(-|$)'
}

bare_debian() {
    sources | grep -q . || apt-get -qq update
    local mirror
    mirror=$(sources | awk '$2 == "bookworm" {print $1; exit}')
    [ -n "$mirror" ] || { echo "no Debian 12 among the sources of apt" >&2; return 1; }
    if [ ! -e build/bookworm.tar ]; then
        echo "a bare Debian 12, once: debootstrap"
        debootstrap --variant=minbase bookworm "$root" "$mirror" >"$work/out" 2>&1 ||
            { tail "$work/out"; return 1; }
        mkdir -p build
        tar -C "$root" -cf build/bookworm.tar.new . && mv build/bookworm.tar.new build/bookworm.tar
    else
        mkdir -p "$root" && tar -C "$root" -xf build/bookworm.tar
    fi
    sources | sed 's/.*/deb & main/' >"$root/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(http|https|Check|Retries)' \
        >"$root/etc/apt/apt.conf.d/99host"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
}

mode() { [ "$(in_root stat -c '%a %U %G' "$1")" = "$2" ]; }
gone() { [ ! -e "$root$1" ]; }
local_net() { nsenter --net="$work/net" "$@"; }
ready() {
    for _ in $(seq 50); do
        local_net curl -sf http://127.0.0.1:8081/readyz && return
        sleep 0.1
    done
    return 1
}
publish() { local_net curl -sfS -d "$1" "http://127.0.0.1:8081/pub/demo"; }
# The subscriber is there before the message is: it prints `retry:` first.
receive() {
    nsenter --net="$work/net" curl -sN -m 20 "http://127.0.0.1:8080/sub/$1" >"$work/sub" &
    local reader=$!
    for _ in $(seq 50); do grep -q . "$work/sub" && break || sleep 0.1; done
    publish "$2"
    for _ in $(seq 50); do grep -q "^data:.*$2" "$work/sub" && break || sleep 0.1; done
    kill "$reader" && wait "$reader"
    cat "$work/sub"
    grep -q "^data:.*$2" "$work/sub"
}
daemon() { # as the unit starts it, less systemd
    nsenter --net="$work/net" chroot --userspec=fanhorn:fanhorn "$root" \
        /usr/sbin/fanhorn -c /etc/fanhorn/fanhorn.conf >"$work/log" 2>&1 &
    pid=$!
}
drained() {
    kill -QUIT "$pid"
    for _ in $(seq 400); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null && echo "the daemon was still there after 40 s"
    wait "$pid"
}

bare_debian || exit 1
touch "$work/net" && unshare --net="$work/net" ip link set lo up
cp build/pkg/fanhorn_*.deb "$root/tmp/fanhorn.deb"
in_root apt-get -qq update >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }

check "installs with what it depends on" \
    in_root apt-get -y --no-install-recommends install /tmp/fanhorn.deb
check "made its user" in_root getent passwd fanhorn
check "the configuration is the daemon's to read, nobody else's" \
    mode /etc/fanhorn/fanhorn.conf "640 root fanhorn"
check "fanhorn -t passes on what was installed" in_root fanhorn -t
check "fanhorn -v" in_root fanhorn -v
check "the unit is there and enabled" \
    in_root test -e /etc/systemd/system/multi-user.target.wants/fanhorn.service
daemon
check "the daemon gets ready" ready
check "a subscriber receives what is published" receive demo "hello-from-the-package"
check "fanhornctl publishes" local_net chroot "$root" fanhornctl publish demo hi
check "reloads" kill -HUP "$pid"
check "and goes on" receive demo "hello-again"
check "QUIT drains and exits with 0" drained
check "is removed, its configuration kept" in_root apt-get -y remove fanhorn
check "the configuration is still there" in_root test -e /etc/fanhorn/fanhorn.conf
check "is purged" in_root apt-get -y purge fanhorn
check "nothing in /etc is left" gone /etc/fanhorn
[ "$failed" = 0 ] || { echo "the daemon's log:"; cat "$work/log"; }
echo "chroot: $passed passed, $failed failed"
[ "$failed" = 0 ]
