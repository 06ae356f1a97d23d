#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The packages in build/pkg are built again, in another folder, language, time zone and with another
# umask: the bytes must be the same. An rpm is what it is for where rpmbuild ran, so that folder stays.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
passed=0 failed=0
hashes() { (cd "$1" && sha256sum -- $2); }
same() { # WHAT FIRST SECOND
    if [ -n "$2" ] && [ "$2" = "$3" ]; then passed=$((passed + 1)) && echo "$2"; return; fi
    failed=$((failed + 1))
    echo "$1:"
    diff <(echo "$2") <(echo "$3")
}
elsewhere() { (umask 077 && TZ=Pacific/Apia LC_ALL=C "$@" >build/again.log 2>&1) || tail -n 20 build/again.log; }

first=$(hashes build/pkg '*.deb')
elsewhere packaging/make-deb.sh build/again
same "the .deb" "$first" "$(hashes build/again '*.deb')"
rm -rf build/again
first=$(hashes build/pkg '*.rpm')
elsewhere packaging/make-rpm.sh
same "the .rpm" "$first" "$(hashes build/pkg '*.rpm')"
echo "reproducible: $passed passed, $failed failed"
[ "$failed" = 0 ]
