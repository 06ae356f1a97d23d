#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make-rpm.sh [RPMBUILD-OPTION...]: builds the source and binary rpm into build/pkg/, for example
# --without redis, --without nats. On Debian this is a test of the spec: rpm knows none of Debian's packages
# (--nodeps), and the binary wants Debian's libraries. The same tree gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(packaging/source-tarball.sh)
top=$PWD/build/pkg/rpmbuild
rm -rf "$top" build/pkg/*.rpm
install -D -m 0644 -t "$top/SOURCES" "build/pkg/fanhorn-$version.tar.gz"
install -D -m 0644 -t "$top/SPECS" packaging/rpm/fanhorn.spec
nodeps=
[ -e /etc/debian_version ] && nodeps=--nodeps
rpmbuild $nodeps --define "_topdir $top" --define "_buildhost localhost" \
    --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
    --define "source_date_epoch_from_changelog 1" "$@" --noclean -ba "$top/SPECS/fanhorn.spec" \
    >build/pkg/rpm.log 2>&1 ||
    { tail -n 40 build/pkg/rpm.log; exit 1; }
find "$top" -name '*.rpm' -exec mv {} build/pkg/ \;
ls -1 "$PWD"/build/pkg/*.rpm
