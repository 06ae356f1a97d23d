#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every manual page is clean mdoc, and fanhorn-protocol(7) has the codes of all problems.
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
for page in man/*.[1-8]; do
    # A reference to a page of systemd or nginx is no fault where those are not installed.
    if mandoc -T lint -W style "$page" 2>&1 | grep -v -e 'manual not found' -e 'outdated mandoc.db'
    then failed=$((failed + 1)); else passed=$((passed + 1)); fi
done
for code in $(grep -rhoE 'problem\(\s*"[a-z_]+"' src modules | grep -o '[a-z_]*"$' | tr -d '"' | sort -u); do
    if grep -qw "$code" man/fanhorn-protocol.7; then passed=$((passed + 1)); continue; fi
    failed=$((failed + 1))
    echo "fanhorn-protocol.7: nothing about the code $code"
done
echo "man: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
