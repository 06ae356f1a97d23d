#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# chroot.sh [SUITE]: installs the .deb into a bare Debian (bookworm, or trixie) and uses it there:
# check, start, publish, receive, reload, rotate the log, upgrade, drain, remove, purge. Needs root.
# Of another suite than bookworm the .deb is built there first, since its libraries have other names;
# FANHORN_PACKAGES=FOLDER takes the ones in that folder as they are.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
suite=${1:-bookworm}
. tests/packages/bare.sh

built=${FANHORN_PACKAGES:-build/pkg}
build_there() {
    built=build/pkg/$suite
    local version
    version=$(packaging/source-tarball.sh "$work/source")
    local tarball=$work/source/fanhorn-$version.tar.gz
    cmp -s "$tarball" "$built/of.tar.gz" && ls "$built"/fanhorn_*.deb >/dev/null && return
    echo "the .deb for $suite, built there"
    bare_debian "$suite" || return
    mkdir -p "$root/source" "$built"
    tar -C "$root/source" --strip-components=1 -xzf "$tarball"
    in_root sh -c 'cd /source && apt-get -y --no-install-recommends install build-essential fakeroot &&
        cp -r packaging/debian debian && apt-get -y --no-install-recommends build-dep . &&
        rm -r debian && packaging/make-deb.sh build/pkg' >"$built/build.log" 2>&1 ||
        { tail -n 40 "$built/build.log"; return 1; }
    cp "$root"/source/build/pkg/*.deb "$built/" && cp "$tarball" "$built/of.tar.gz"
    leave_root
    rm -rf --one-file-system "$root"
}
[ "$suite" = bookworm ] || [ -n "${FANHORN_PACKAGES:-}" ] || build_there || exit 1

# The same package with a higher version.
next_package() {
    dpkg-deb -R "$root/tmp/fanhorn.deb" "$work/next" &&
        sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control" &&
        dpkg-deb -b "$work/next" "$root/tmp/next.deb"
}
has_version() { in_root dpkg-query -W -f '${Version}' fanhorn | grep -q "$1"; }
rotates() { # What the unit's name stands for is one process here.
    printf '#!/bin/sh\necho "$@" >/tmp/asked\nkill -USR1 %s\n' "$pid" >"$root/usr/local/bin/systemctl"
    chmod +x "$root/usr/local/bin/systemctl"
    in_root env PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin logrotate -v -f /etc/logrotate.d/fanhorn || return
    rm "$root/usr/local/bin/systemctl"
    grep -q 'signal=USR1.*fanhorn.service' "$root/tmp/asked" && mode /var/log/fanhorn/fanhorn.log.1 "640 fanhorn fanhorn"
}
log_is_new() { # what is logged from now on goes there
    kill -HUP "$pid"
    for _ in $(seq 50); do grep -q event=reloaded "$root/var/log/fanhorn/fanhorn.log" && return || sleep 0.1; done
    return 1
}

bare_debian "$suite" || exit 1
own_net
cp "$built"/fanhorn_*.deb "$root/tmp/fanhorn.deb"
debug=$(ls "$built"/fanhorn-dbgsym_*.deb)

check "installs with what it depends on" \
    in_root apt-get -y --no-install-recommends install /tmp/fanhorn.deb logrotate
check "made its user" in_root getent passwd fanhorn
check "the configuration is the daemon's to read, nobody else's" \
    mode /etc/fanhorn/fanhorn.conf "640 root fanhorn"
check "so is what is beside it" mode /etc/fanhorn/conf.d "750 root fanhorn"
check "fanhorn -t passes on what was installed" in_root fanhorn -t
check "fanhorn -v" in_root fanhorn -v
check "the unit is there and enabled" \
    in_root test -e /etc/systemd/system/multi-user.target.wants/fanhorn.service
check "manual pages, completion, the AppArmor profile" \
    there /usr/share/man/man{1/fanhornctl.1,5/fanhorn.conf.5,7/fanhorn-protocol.7,8/fanhorn.8}.gz \
    /usr/share/bash-completion/completions/fanhorn{,ctl} /usr/share/zsh/vendor-completions/_fanhorn{,ctl} \
    /etc/apparmor.d/usr.sbin.fanhorn
check "debug symbols are a package of their own" test -s "$debug"

# As LogsDirectory= and StateDirectory= of the unit do.
in_root install -d -o fanhorn -g fanhorn -m 0750 /var/log/fanhorn /var/lib/fanhorn
printf '[log]\ntarget = /var/log/fanhorn/fanhorn.log\n' >"$root/etc/fanhorn/conf.d/log.conf"
daemon
check "the daemon gets ready" ready
check "a subscriber comes" subscribe
check "and receives what is published" receives "hello-from-the-package"
check "fanhornctl publishes" local_net chroot "$root" fanhornctl publish demo hi
check "logrotate turns the log" rotates
check "the daemon writes into the new one" log_is_new
check "reload: the subscriber goes on" receives "hello-after-the-reload"

echo "; the administrator's own line" >>"$root/etc/fanhorn/fanhorn.conf"
next_package >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
check "is upgraded" in_root apt-get -y install /tmp/next.deb
check "to the next version" has_version next
check "the administrator's configuration is kept" \
    grep -q "the administrator's own line" "$root/etc/fanhorn/fanhorn.conf"
check "upgrade: the subscriber goes on" receives "hello-after-the-upgrade"
check "the daemon is upgraded in place" upgraded_in_place
check "and the subscriber still goes on" receives "hello-from-the-next-process"
kill "$reader" 2>/dev/null
check "QUIT drains and exits with 0" drained
check "is removed, its configuration kept" in_root apt-get -y remove fanhorn
check "the configuration is still there" there /etc/fanhorn/fanhorn.conf
check "is purged" in_root apt-get -y purge fanhorn
check "what the administrator added is kept" there /etc/fanhorn/conf.d/log.conf
check "nothing else of it is left" gone /etc/fanhorn/fanhorn.conf /etc/logrotate.d/fanhorn /etc/apparmor.d/usr.sbin.fanhorn \
    /etc/apparmor.d/local/usr.sbin.fanhorn /var/lib/fanhorn /var/log/fanhorn /usr/sbin/fanhorn
ended "chroot-$suite"
