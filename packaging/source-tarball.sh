#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# source-tarball.sh [FOLDER]: writes FOLDER/fanhorn-VERSION.tar.gz of this tree, build/pkg by default,
# and prints VERSION. The same files give the same bytes: their times are that of the changelog.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-build/pkg}
version=$(sed -n 's/^project(fanhorn VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
time=$(sed -n 's/^ -- .*>  //p' packaging/debian/changelog | head -n 1)
mkdir -p "$folder"
tar --exclude-vcs --exclude='./build' --exclude='./build-*' --exclude=node_modules \
    --exclude=__pycache__ --owner=root:0 --group=root:0 --sort=name --format=gnu \
    --mode=u+rw,go+r-w,a+X --mtime="$time" \
    --transform="s,^\.,fanhorn-$version," -cf - . | gzip -9n >"$folder/fanhorn-$version.tar.gz"
echo "$version"
