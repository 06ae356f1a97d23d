#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lintian has nothing against the .deb, and the unit gives the daemon away less than 2 points of
# systemd's exposure.
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
check() {
    echo "-- $1"
    if "${@:2}"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
unprivileged=
[ "$(id -u)" = 0 ] && unprivileged=--allow-root
check lintian lintian $unprivileged --fail-on error,warning build/pkg/*.changes
check "exposure of the unit" systemd-analyze security --offline=yes --threshold=20 --no-pager \
    packaging/systemd/fanhorn.service >build/pkg/security.log
tail -n 1 build/pkg/security.log
echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
