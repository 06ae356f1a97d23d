#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every manual page is clean mdoc.
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
for page in man/*.[1-8]; do
    # A reference to a page of systemd or nginx is no fault where those are not installed.
    if mandoc -T lint -W style "$page" 2>&1 | grep -v -e 'manual not found' -e 'outdated mandoc.db'
    then failed=$((failed + 1)); else passed=$((passed + 1)); fi
done
echo "man: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
