#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make-deb.sh [FOLDER]: builds fanhorn_VERSION_ARCH.deb, and -dbgsym with its debug symbols, into
# FOLDER, build/pkg by default. The unit and its companions have one copy for all formats; debhelper
# finds them beside debian/control under the package's name.
#   DEB_BUILD_PROFILES="pkg.fanhorn.nohttp2 pkg.fanhorn.noredis pkg.fanhorn.nonats"   leaves these out
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build/pkg}
version=$(packaging/source-tarball.sh "$folder")
cd "$folder"
rm -rf "fanhorn-$version" ./*.deb ./*.buildinfo ./*.changes
tar -xzf "fanhorn-$version.tar.gz"
cd "fanhorn-$version"
cp -r packaging/debian debian
cp packaging/systemd/fanhorn.* packaging/fanhorn.* debian/
dpkg-buildpackage --build=binary --no-sign >../deb.log 2>&1 || { tail -n 40 ../deb.log; exit 1; }
cd ..
rm -rf "fanhorn-$version"
ls -1 "$PWD"/*.deb
