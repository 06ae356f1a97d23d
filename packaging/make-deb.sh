#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds build/pkg/fanhorn_VERSION_ARCH.deb. The unit and its companions have one copy for all
# formats; debhelper finds them beside debian/control under the package's name.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(packaging/source-tarball.sh)
cd build/pkg
rm -rf "fanhorn-$version" ./*.deb ./*.buildinfo ./*.changes
tar -xzf "fanhorn-$version.tar.gz"
cd "fanhorn-$version"
cp -r packaging/debian debian
cp packaging/systemd/fanhorn.* debian/
dpkg-buildpackage --build=binary --no-sign >../deb.log 2>&1 || { tail -n 40 ../deb.log; exit 1; }
ls -1 "$OLDPWD"/*.deb
