#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cppcheck.sh [JOBS]: cppcheck has nothing against src/ and modules/. What is not looked at, and why:
#   missingIncludeSystem, unmatchedSuppression: about cppcheck, not about the code
#   identicalConditionAfterEarlyExit: whether an optional is some value, and whether it is any, are
#     two questions
#   passedByValue: of a few words of settings
#   nullPointerRedundantCheck: of members that a call in between may reset
#   uninitMemberVarPrivate: of buffers, which are written before they are read
cd "$(dirname "$0")/.." || exit 1
exec cppcheck --quiet --std=c++20 --language=c++ --enable=warning,performance,portability \
    --inline-suppr --error-exitcode=1 -j "${1:-1}" -I src -I . \
    --suppress=missingIncludeSystem --suppress=unmatchedSuppression \
    --suppress=identicalConditionAfterEarlyExit --suppress=passedByValue \
    --suppress=nullPointerRedundantCheck --suppress=uninitMemberVarPrivate \
    -DFANHORN_VERSION='""' -DFANHORN_IO_URING -D__GLIBC__=2 src modules
