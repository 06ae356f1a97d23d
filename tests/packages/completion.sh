#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What bash and zsh complete is what the programs take: each option of their help, each command. They
# are those of the PATH, or in the folder of $FANHORN.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
[ -z "${FANHORN:-}" ] || PATH=$(cd "$(dirname "$FANHORN")" && pwd):$PATH
export LC_ALL=C
passed=0 failed=0
. packaging/completion/fanhorn.bash
. packaging/completion/fanhornctl.bash

in_bash() { # WORD...: what is offered for the last one
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    "_$1"
    printf '%s\n' "${COMPREPLY[@]}"
}
in_zsh() { # the same; zsh's own functions are replaced by such as print
    zsh -fc 'words=("$@") CURRENT=$#
        _files() { print FILES }
        _describe() { local each; for each in ${(P)2}; do print -r -- ${each%%:*}; done }
        compadd() { shift; print -rl -- "$@" }
        complete() { . "packaging/completion/_$1" }
        complete $1' zsh "$@"
}
offers() { # SHELL EXPECTED WORD...
    local got
    got=$("in_$1" "${@:3}" | grep -v '^$' | sort | tr '\n' ' ')
    if [ "$got" = "$2 " ]; then passed=$((passed + 1)); return; fi
    failed=$((failed + 1))
    echo "$1 ${*:3}: offers '$got', not '$2'"
}
options_of() { fanhornctl "$1" --help 2>&1 | grep -o '^  --[a-z-]*' | sort | xargs; }

shells=(bash)
command -v zsh >/dev/null && shells+=(zsh)
for shell in "${shells[@]}"; do
    commands=$(fanhornctl --help 2>&1 | sed -n 's/.* fanhornctl \([a-z]*\) \[.*/\1/p')
    offers "$shell" "$(printf '%s\n' $commands --help --version | sort | xargs)" fanhornctl ''
    for command in $commands; do
        offers "$shell" "$(options_of "$command")" fanhornctl "$command" ''
    done
    offers "$shell" "earliest latest" fanhornctl subscribe --since ''
    offers "$shell" "-M -T -V -c -g -s -t -v" fanhorn ''
    offers "$shell" "$(fanhorn -h | sed -n 's/.*-s SIGNAL *\(.*\) the .*/\1/p' | tr -d '|' | xargs -n 1 | sort | xargs)" \
        fanhorn -s ''
done
offers bash "--retain" fanhornctl publish --re
offers bash "Makefile" fanhornctl publish --from-ndjson Makef
[ "$passed" -gt 10 ] || failed=$((failed + 1))
echo "completion: ${shells[*]}"
echo "completion: $passed passed, $failed failed"
[ "$failed" = 0 ]
