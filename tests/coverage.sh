#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# coverage.sh BUILD|--tests: how many lines of each parser of what strangers send (and of files that
# administrators write) the unit tests and the fuzz corpora run, as a table; fails where it is less
# than LEAST=95 percent.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
build=$1

PARSERS="src/base/filter.cc src/base/json.cc src/base/net_address.cc src/base/utf8.cc
    src/http/body.cc src/http/forwarded.cc src/http/grammar.cc src/http/http2_message.cc
    src/http/parser.cc src/http/proxy_header.cc src/http/request.cc src/http/response_reader.cc
    src/http/target.cc src/http/url.cc src/relay/claim_rule.cc src/relay/pattern.cc
    src/relay/position.cc src/server/command_members.cc src/server/ini.cc
    src/server/publish_json.cc src/ctl/event_reader.cc modules/auth_jwt.cc modules/claims.cc
    modules/deflate.cc modules/json_object.cc modules/json_patch.cc modules/jwk.cc modules/jwt.cc
    modules/log_entry.cc modules/log_format.cc modules/message_record.cc modules/redis_info.cc
    modules/nats_entry.cc modules/nats_url.cc modules/redis_reply.cc modules/redis_url.cc
    modules/websocket_frame.cc"
TESTS="auth_callback_test auth_jwt_test body_test claim_rule_test command_members_test
    ctl_bridge_test deflate_test event_reader_test filter_test forwarded_test http2_message_test
    ini_test json_patch_test json_test log_entry_test log_store_test nats_entry_test
    net_address_test parser_test pattern_test position_test proxy_header_test publish_json_test query_test redis_test
    response_reader_test utf8_test websocket_frame_test"
[ "$build" != --tests ] || { echo $TESTS; exit; } # for who builds them

find "$build" -name '*.gcda' -delete
for test in $TESTS; do
    "$build/$test" >"$build/$test.log" 2>&1 || { cat "$build/$test.log"; exit 1; }
done
for replay in "$build"/*_replay; do
    name=$(basename "$replay" _replay)
    "$replay" tests/fuzz/corpus/"$name"/* || { echo "$name: a corpus fails"; exit 1; }
done

for source in $PARSERS; do
    data=$(find "$build/CMakeFiles" -path "*/$source.gcda")
    counts=$(gcov -n "$data" | grep -A1 "^File '.*/$source'" |
        sed -nE 's/^Lines executed:([0-9.]+)% of ([0-9]+)$/\1 \2/p')
    echo "$source ${counts:-0 0}"
done | awk -v least="${LEAST:-95}" '
    function row(name, percent, lines, note) { printf "%-32s %6.1f %% of %4d%s\n", name, percent, lines, note }
    { row($1, $2, $3, $2 < least ? "  below " least " %" : ""); $2 < least ? ++failed : ++passed
      run += $2 * $3 / 100; all += $3 }
    END { row("all", 100 * run / all, all, ""); printf "coverage: %d passed, %d failed\n", passed, failed
          exit failed > 0 || passed == 0 }'
