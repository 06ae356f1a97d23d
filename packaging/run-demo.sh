#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts the relay that was just built, in the foreground, with the demo configuration.
set -euo pipefail
cd "$(dirname "$0")/.."
public=${PORT:-8080} private=${PRIVATE_PORT:-8081}

for port in "$public" "$private"; do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        echo "port $port is taken by another program; choose others, for example:" >&2
        echo "    make run PORT=9080 PRIVATE_PORT=9081" >&2
        exit 1
    fi
done

cat <<EOF

  Fanhorn is starting. Open   http://127.0.0.1:$public/chat        in two windows: a chat
                       or     http://127.0.0.1:$public/            four transports side by side
                       and    http://127.0.0.1:$private/dashboard   what the relay does meanwhile

  or, in two other terminals:
    curl -N http://127.0.0.1:$public/sub/demo
    curl -d hello http://127.0.0.1:$private/pub/demo

  Ctrl-C stops it.

EOF
exec build/fanhorn -c conf/demo.conf \
    -g "listener public.address=0.0.0.0:$public" -g "listener private.address=127.0.0.1:$private"
