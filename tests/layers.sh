#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# base <- net | http <- relay <- server; a module sees base, http, relay, the loop and
# the outgoing client.
# Each row: what may not be included, then where (find's own words). $1 is another tree.
cd "${1:-$(dirname "$0")/..}" || exit 1
passed=0 failed=0
never() {
    found=$(find "${@:2}" -name '*.[ch]*' -exec grep -HnE "^ *# *include *[<\"]($1)" {} +)
    if [ -z "$found" ]; then passed=$((passed + 1)); return; fi
    printf '%s\n' "$found"
    failed=$((failed + 1))
}
never '(net|http|relay|server|ctl|modules)/' src/base
never '(http|relay|server|ctl|modules)/' src/net
never '(net|relay|server|ctl|modules)/' src/http
never '(net|server|ctl|modules)/' src/relay
never 'ctl/' src/server
never '(net|relay|server|modules)/' src/ctl
never '(server|ctl)/|net/([^cl]|c[^l]|l[^o]|client[^._])' modules
never '\.\./' src modules tests/unit
never 'sys/(socket|epoll|un)\.h|netinet/|thread>' src/http src/relay
never 'event2?/|event\.h|evutil' src modules -not -path 'src/net/*'
never 'openssl/' src modules -not -path 'src/net/*' -not -path 'src/base/digest.cc' \
    -not -path 'src/base/secret.cc' -not -path 'src/base/signature.cc' -not -path 'src/ctl/tls.cc'
never 'nghttp2/' src modules -not -path 'src/http/http2*'
never 'zlib\.h' src modules -not -path 'modules/deflate.cc'
echo "layers: $passed passed, $failed failed"
[ "$failed" = 0 ]
