#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is written in several places is the same in all of them: what a build needs, the version.
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
same() { # WHAT ONE OTHER
    if [ -n "$2" ] && [ "$2" = "$3" ]; then passed=$((passed + 1)); return; fi
    failed=$((failed + 1))
    echo "$1:"
    diff <(echo "$2") <(echo "$3")
}
sorted() { tr -d ' ,' | grep . | sort; }

list=packaging/packages.build spec=packaging/rpm/fanhorn.spec
# g++ and make are what Debian calls build-essential: a package that asks for them is at fault.
same "Build-Depends in debian/control, but debhelper's own" \
    "$(sed 's/#.*//' $list | grep -vxE 'g\+\+ *|make *' | sorted)" \
    "$(sed -n '/^Build-Depends:/,/^[A-Z].*:/s/^ //p' packaging/debian/control |
        sed 's/ <!pkg[^>]*>//' | grep -vE '^(debhelper-compat|dh-)' | sorted)"
same "BuildRequires in fanhorn.spec" \
    "$(sed -n 's/.*# rpm: //p' $list | sorted)" \
    "$(sed -n 's/^BuildRequires: *//p' $spec | sorted)"

version=$(sed -n 's/^project(fanhorn VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
same "version in debian/changelog" "$version" \
    "$(sed -n '1s/^fanhorn (\(.*\)) .*/\1/p' packaging/debian/changelog)"
same "version in fanhorn.spec" "$version" "$(sed -n 's/^Version: *//p' $spec)"

echo "lists: $passed passed, $failed failed"
[ "$failed" = 0 ]
