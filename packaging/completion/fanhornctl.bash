# SPDX-License-Identifier: Apache-2.0
# Completion of fanhornctl(1) for bash. Its words are in the program's own help.
_fanhornctl() {
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]} cur=${COMP_WORDS[COMP_CWORD]} words
    COMPREPLY=()
    case $COMP_CWORD:${COMP_WORDS[COMP_CWORD - 1]} in
    1:*) words="$("$program" --help 2>&1 | sed -n 's/.* fanhornctl \([a-z]*\) .*/\1/p') --help --version" ;;
    *:--cert | *:--key | *:--from-ndjson)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames 2>/dev/null
        return
        ;;
    *:--since) words='latest earliest' ;;
    *:--transport) words='websocket sse longpoll socket.io' ;;
    *:--publish-format) words='raw ndjson json-items' ;;
    *) words=$("$program" "$command" --help 2>&1 | sed -n 's/^  \(--[a-z-]*\) .*/\1/p') ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _fanhornctl fanhornctl
