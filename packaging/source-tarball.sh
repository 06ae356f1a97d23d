#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Writes build/pkg/fanhorn-VERSION.tar.gz of this tree and prints VERSION.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^project(fanhorn VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
mkdir -p build/pkg
tar --exclude-vcs --exclude='./build' --exclude='./build-*' --exclude=node_modules \
    --exclude=__pycache__ --owner=root:0 --group=root:0 --sort=name \
    --transform="s,^\.,fanhorn-$version," -czf "build/pkg/fanhorn-$version.tar.gz" .
echo "$version"
