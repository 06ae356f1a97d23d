#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# install-packages.sh LIST...: installs the Debian packages that the lists name and that are
# missing. With nothing missing it asks neither for root nor for the network.
set -eu

wanted=$(sed 's/#.*//' "$@")
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "not a Debian system: these packages are taken to be installed already:" $wanted >&2
    exit 0
fi

# A package that another one provides counts too (`npm` may come with another nodejs).
have=" $(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' |
    sed -n -e 's/([^)]*)//g' -e 's/,/ /g' -e 's/^installed //p' | tr '\n' ' ') "
missing=
for package in $wanted; do
    case "$have" in
    *" $package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "these packages are missing, and installing them needs root or sudo:" >&2
        echo "    apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "installing:$missing"
$as_root apt-get -qq update </dev/null
$as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends $missing </dev/null >/dev/null ||
    { echo "apt-get could not install:$missing" >&2; exit 1; }
