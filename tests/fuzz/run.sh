#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SECONDS [JOBS]: every fuzz target for that long, JOBS at a time, from
# tests/fuzz/corpus/NAME (for the target NAME_fuzz). What it finds stays in BUILD: new inputs in
# corpus/, crashes in crashes/.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
export BUILD=$1 SECONDS_EACH=$2

fuzz() {
    local name=$1
    mkdir -p "$BUILD/corpus/$name" "$BUILD/crashes"
    if "$BUILD/${name}_fuzz" -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$BUILD/crashes/$name-" \
        "$BUILD/corpus/$name" "tests/fuzz/corpus/$name" 2>"$BUILD/corpus/$name.log"; then
        echo "ok     $name: $(sed -nE 's/^stat::(number_of_executed_units|new_units_added): */\1 /p' "$BUILD/corpus/$name.log" | paste -sd, )"
    else
        cat "$BUILD/corpus/$name.log"
        echo "FAILED $name"
        return 1
    fi
}
export -f fuzz

results=$(basename -a -s _fuzz "$BUILD"/*_fuzz | xargs -P "${3:-1}" -I{} bash -c 'fuzz {}' | tee /dev/stderr)
passed=$(grep -c '^ok ' <<<"$results") failed=$(grep -c '^FAILED ' <<<"$results")
echo "fuzz: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
