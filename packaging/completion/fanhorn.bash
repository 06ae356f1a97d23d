# SPDX-License-Identifier: Apache-2.0
# Completion of fanhorn(8) for bash. Its words are in the program's own help.
_fanhorn() {
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} words
    COMPREPLY=()
    case ${COMP_WORDS[COMP_CWORD - 1]} in
    -c)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames 2>/dev/null
        return
        ;;
    -g | -M) return ;;
    -s) words=$("$program" -h 2>&1 | sed -n 's/^ *-s SIGNAL *\([a-z |]*\) the .*/\1/p' | tr -d '|') ;;
    *) words=$("$program" -h 2>&1 | sed -n '/^ /s/^ *\(-.\)\(, \(-.\)\)*.*/\1 \3/p') ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _fanhorn fanhorn
