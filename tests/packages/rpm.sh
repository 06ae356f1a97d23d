#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs build/pkg/fanhorn-*.rpm by rpm into a bare Debian 12 and uses it there: start, publish,
# receive, upgrade, remove. Its dependencies, which have other names there, are set aside: the
# libraries are those of the .deb. Needs root, and what make-rpm.sh left in build/pkg/rpmbuild.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/packages/bare.sh

# The same binaries as the next release: the spec's steps behind %build once more.
next_package() {
    local top=$PWD/build/pkg/rpmbuild
    local options=(--nodeps --short-circuit --define "_topdir $top" --define "dist .next")
    rpmbuild "${options[@]}" -bi "$top/SPECS/fanhorn.spec" &&
        rpmbuild "${options[@]}" -bb "$top/SPECS/fanhorn.spec" &&
        mv "$top"/RPMS/*/fanhorn-[0-9]*.next.*.rpm "$root/tmp/next.rpm"
}
no_service_files() { # as /run/systemd/system is on a machine that systemd runs: not there
    [ ! -d "$root/run/systemd/system" ]
}

bare_debian bookworm || exit 1
own_net
cp build/pkg/fanhorn-[0-9]*.x86_64.rpm "$root/tmp/fanhorn.rpm"
libraries=$(dpkg-deb -f build/pkg/fanhorn_*.deb Depends)
in_root apt-get -qq -y --no-install-recommends install rpm >"$work/out" 2>&1 &&
    in_root apt-get -qq -y --no-install-recommends satisfy "$libraries" >"$work/out" 2>&1 ||
    { cat "$work/out"; exit 1; }

check "no systemd runs there" no_service_files
check "installs" in_root rpm -i --nodeps /tmp/fanhorn.rpm
check "is as it was packed" in_root rpm -V --nodeps fanhorn
check "made its user" in_root getent passwd fanhorn
check "the configuration is the daemon's to read, nobody else's" \
    mode /etc/fanhorn/fanhorn.conf "640 root fanhorn"
check "fanhorn -t passes on what was installed" in_root fanhorn -t
check "the unit, sysusers, tmpfiles, logrotate, completion" \
    there /usr/lib/systemd/system/fanhorn.service /usr/lib/sysusers.d/fanhorn.conf /usr/lib/tmpfiles.d/fanhorn.conf \
    /etc/logrotate.d/fanhorn /usr/share/bash-completion/completions/fanhornctl
daemon
check "the daemon gets ready" ready
check "a subscriber comes" subscribe
check "and receives what is published" receives "hello-from-the-rpm"
echo "; the administrator's own line" >>"$root/etc/fanhorn/fanhorn.conf"
check "its next release is made" next_package
check "is upgraded" in_root rpm -U --nodeps /tmp/next.rpm
check "to the next release" in_root sh -c 'rpm -q fanhorn | grep -q next'
check "the administrator's configuration is kept" \
    grep -q "the administrator's own line" "$root/etc/fanhorn/fanhorn.conf"
check "upgrade: the subscriber goes on" receives "hello-after-the-upgrade"
check "the daemon is upgraded in place" upgraded_in_place
check "and the subscriber still goes on" receives "hello-from-the-next-process"
kill "$reader" 2>/dev/null
check "QUIT drains and exits with 0" drained
check "is removed" in_root rpm -e --nodeps fanhorn
check "what was changed is kept aside" there /etc/fanhorn/fanhorn.conf.rpmsave
check "nothing else is left" gone /usr/sbin/fanhorn /usr/lib/systemd/system/fanhorn.service /etc/fanhorn/fanhorn.conf
ended rpm
