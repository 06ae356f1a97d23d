#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over all sources that the build folder `build` compiles, JOBS at a time; what is off,
# and why, is in .clang-tidy. Fails where there is a finding. Usage: tests/tidy.sh [JOBS] [FILE...]
set -eu
cd "$(dirname "$0")/.."
jobs=${1:-1}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(git ls-files 'src/*.cc' 'modules/*.cc')
printf '%s\n' "$@" | xargs -P "$jobs" -n 1 clang-tidy -quiet -p build \
    --extra-arg=-Wno-unknown-warning-option --warnings-as-errors='*' 2>/dev/null ||
    { echo "clang-tidy: findings"; exit 1; }
echo "clang-tidy: $# files, clean"
