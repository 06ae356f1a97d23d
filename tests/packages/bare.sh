# SPDX-License-Identifier: Apache-2.0
# For chroot.sh and rpm.sh: a bare Debian in $root, with mounts and processes of its own and, in
# $work/net, a network of its own, so that nothing is left behind and no port is taken here. The
# Debian comes from where this system gets its own packages, once: build/SUITE.tar keeps it.
[ "$(id -u)" = 0 ] || { echo "$0 needs root" >&2; exit 1; }
if [ "${FANHORN_BARE:-}" != inside ]; then
    FANHORN_BARE=inside exec unshare --mount --pid --fork --kill-child --mount-proc \
        "tests/packages/${0##*/}" "$@"
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
leave_root() { umount "$root/proc" "$root/dev" 2>/dev/null; }
trap 'leave_root; umount "$work/net"; rm -rf --one-file-system "$work"' EXIT
in_root() { timeout 1800 chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive "$@"; }

# "URI SUITE" of each of this system's sources that is Debian's own, for another suite of it.
sources() { # SUITE
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(CODENAME)' \
        'Created-By: Packages' | sed -n 's/^Debian main //p' | grep -E ' bookworm(-|$)' |
        sed "s/ bookworm/ $1/"
}

bare_debian() { # SUITE
    sources "$1" | grep -q . || apt-get -qq update
    local mirror
    mirror=$(sources "$1" | awk -v suite="$1" '$2 == suite {print $1; exit}')
    [ -n "$mirror" ] || { echo "no Debian 12 among the sources of apt" >&2; return 1; }
    mkdir -p build "$root"
    if [ ! -e "build/$1.tar" ]; then
        echo "a bare Debian ($1), once: debootstrap"
        debootstrap --variant=minbase "$1" "$root" "$mirror" >"$work/out" 2>&1 ||
            { tail "$work/out"; return 1; }
        tar -C "$root" -cf "build/$1.tar.new" . && mv "build/$1.tar.new" "build/$1.tar"
    else
        tar -C "$root" -xf "build/$1.tar"
    fi
    chmod 0755 "$root"
    sources "$1" | sed 's/.*/deb & main/' >"$root/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(http|https|Check|Retries)' \
        >"$root/etc/apt/apt.conf.d/99host"
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    in_root apt-get -qq update >"$work/out" 2>&1 || { cat "$work/out"; return 1; }
}

# ---- the daemon in there

own_net() { touch "$work/net" && unshare --net="$work/net" ip link set lo up; }
local_net() { nsenter --net="$work/net" "$@"; }
daemon() { # as the unit starts it, less systemd
    nsenter --net="$work/net" chroot --userspec=fanhorn:fanhorn "$root" \
        /usr/sbin/fanhorn -c /etc/fanhorn/fanhorn.conf >"$work/log" 2>&1 &
    pid=$!
}
ready() {
    for _ in $(seq 50); do
        local_net curl -sf http://127.0.0.1:8081/readyz && return
        sleep 0.1
    done
    return 1
}
publish() { local_net curl -sfS -d "$1" "http://127.0.0.1:8081/pub/demo"; }
# A subscriber that stays, and prints `retry:` first.
subscribe() {
    nsenter --net="$work/net" curl -sN "http://127.0.0.1:8080/sub/demo" >"$work/sub" &
    reader=$!
    for _ in $(seq 50); do grep -q . "$work/sub" && return || sleep 0.1; done
    return 1
}
receives() { # TEXT
    publish "$1"
    for _ in $(seq 50); do grep -q "^data:.*$1" "$work/sub" && return || sleep 0.1; done
    cat "$work/sub"
    return 1
}
# By USR2, as the package's script has it where there is systemd: another process serves, the one before has ended.
upgraded_in_place() {
    kill -USR2 "$pid"
    wait "$pid" || return
    for next in $(pgrep -x fanhorn); do
        [ "$(readlink "/proc/$next/root")" = "$root" ] && pid=$next && ready && return
    done
    echo "no process has followed"
    return 1
}
drained() {
    kill -QUIT "$pid"
    for _ in $(seq 400); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null && echo "the daemon was still there after 40 s"
    cat "$work/log" "$root/var/log/fanhorn/fanhorn.log" 2>/dev/null | tail -n 1 | grep event=stopped # it ended well
}
mode() { [ "$(in_root stat -c '%a %U %G' "$1")" = "$2" ]; }
there() { for path; do [ -e "$root$path" ] || { echo "$path is missing"; return 1; }; done; }
gone() { for path; do [ ! -e "$root$path" ] || { echo "$path is there"; return 1; }; done; }
ended() { # NAME
    [ "$failed" = 0 ] || { echo "the daemon's log:"; cat "$work/log"; }
    echo "$1: $passed passed, $failed failed"
    [ "$failed" = 0 ]
}
