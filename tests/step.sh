#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# step.sh NAME COMMAND...: runs one step of a test run, says how long it took, keeps its output in
# build/logs/NAME.log and its runners' closing lines in build/logs/summary. With CI=true a skipped
# test fails the step.
set -uo pipefail
cd "$(dirname "$0")/.." && mkdir -p build/logs

name=$1 log=build/logs/$1.log start=$(date +%s)
shift
echo "== $name"
"$@" </dev/null 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

closing='([0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?|[0-9]+% tests passed, .*)$'
grep -E "^([a-z-]+: )?$closing" "$log" | sed -E "s/^([a-z-]+: )?/$name: /" >>build/logs/summary
if [ "${CI:-}" = true ] && grep -qE '(^|[ ,])[1-9][0-9]* skipped|\((Skipped|Not Run)\)' "$log"; then
    echo "$name: tests were skipped, which a CI run does not allow"
    status=1
fi
verdict=passed
[ "$status" = 0 ] || verdict=FAILED
echo "== $name: $verdict after $(($(date +%s) - start)) s"
exit "$status"
