#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the source and binary rpm into build/pkg/. On Debian this is a test of the spec: rpm knows
# none of Debian's packages (--nodeps), and the binary wants Debian's libraries.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(packaging/source-tarball.sh)
top=$PWD/build/pkg/rpmbuild
rm -rf "$top" build/pkg/*.rpm
mkdir -p "$top/SOURCES"
cp "build/pkg/fanhorn-$version.tar.gz" "$top/SOURCES/"
nodeps=
[ -e /etc/debian_version ] && nodeps=--nodeps
rpmbuild $nodeps --define "_topdir $top" -ba packaging/rpm/fanhorn.spec >build/pkg/rpm.log 2>&1 ||
    { tail -n 40 build/pkg/rpm.log; exit 1; }
find "$top" -name '*.rpm' -exec mv {} build/pkg/ \;
rm -rf "$top"
ls -1 "$PWD"/build/pkg/*.rpm
