#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD SECONDS: every fuzz target for that long, from tests/fuzz/corpus/NAME (for the
# target NAME_fuzz). What it finds stays in BUILD: new inputs in corpus/, crashes in crashes/.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
build=$1 seconds=$2 passed=0 failed=0

for target in "$build"/*_fuzz; do
    name=$(basename "$target" _fuzz)
    mkdir -p "$build/corpus/$name" "$build/crashes"
    echo "fuzzing $name"
    if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -verbosity=0 \
        -print_final_stats=1 -artifact_prefix="$build/crashes/$name-" \
        "$build/corpus/$name" "tests/fuzz/corpus/$name" 2>"$build/corpus/$name.log"; then
        grep -E 'executed_units|new_units' "$build/corpus/$name.log"
        passed=$((passed + 1))
    else
        cat "$build/corpus/$name.log"
        failed=$((failed + 1))
    fi
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
