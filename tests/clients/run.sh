#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [FILE...]: unmodified clients against the real binary (FANHORN). Ends with one line,
# `N passed, N failed, N skipped`; fails on a failure, and with CI=true on a skip as well.
set -uo pipefail
cd "$(dirname "$0")/../.."
export FANHORN=${FANHORN:-$PWD/build/fanhorn}
output=$(mktemp)
trap 'rm -f "$output" "$output.others"' EXIT

tests/packages/npm.sh tests/clients
# One file of a browser, or of many clients, at a time: what is about time shares no small machine
# with another's. The others mostly wait, beside them.
files=("$@")
[ $# -gt 0 ] || files=(tests/clients/*.test.mjs)
heavy='browser\.mjs|kSwarm'
mapfile -t alone < <(grep -lE "$heavy" "${files[@]}")
mapfile -t others < <(grep -LE "$heavy" "${files[@]}")
run() {
    [ $# -eq 0 ] || timeout -k 5 600 node --test --test-concurrency=1 --test-reporter=spec "$@" 2>&1
}
status=0
run "${others[@]}" >"$output.others" &
run "${alone[@]}" | tee "$output"
[ "${PIPESTATUS[0]}" = 0 ] || status=1
wait $! || status=1
cat "$output.others" | tee -a "$output"

# The runs' lists of what failed, again, where the end of a long log shows them.
awk '/^✖ failing tests:/ { on = 1 } /^(▶|✔)/ { on = 0 } on' "$output"
count() { sed -nE "s/^ℹ $1 ([0-9]+)$/\1/p" "$output" | awk '{ sum += $1 } END { print sum + 0 }'; }
passed=$(count pass) skipped=$(count skipped)
failed=$(($(count fail) + $(count cancelled)))
[ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1
if [ "${skipped:-0}" -gt 0 ]; then
    echo "*** $skipped client tests were SKIPPED ***"
    [ "${CI:-}" != true ] || status=1
fi
echo "clients: ${passed:-0} passed, $failed failed, ${skipped:-0} skipped"
exit "$status"
