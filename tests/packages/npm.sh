#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# npm.sh FOLDER: brings FOLDER/node_modules to what its lock file says. No browser is downloaded:
# the tests drive Debian's Chromium. Where the packages cannot be had the client tests skip, loudly.
set -euo pipefail
cd "$1"
mkdir -p node_modules
cmp -s package-lock.json node_modules/.locked && exit 0
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
if npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=2; then
    cp package-lock.json node_modules/.locked
else
    rm -rf node_modules
    echo "*** the npm packages of $1 could not be fetched: the client tests will be SKIPPED ***"
fi
