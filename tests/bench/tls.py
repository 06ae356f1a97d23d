#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""User-space memory of an idle connection over TLS, Fanhorn's beside nginx's in the same run: SSE
subscribers who shake hands, subscribe and wait.

    tests/bench/tls.py [--connections 2000] [--rounds 3]"""

import argparse
import http.client
import re
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from program import Unavailable
from programs import Fanhorn, Nchan

SETTLE = 2  # seconds, until what the handshakes needed has been given back


def resident(program):
    """Anonymous and shared memory of its processes, in bytes; what several share counts once."""
    total = 0
    for pid in program.pids():
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += sum(int(size) for size in re.findall(r"^Pss_(?:Anon|Shmem): +(\d+) kB", text, re.M))
    return total * 1024


def subscribe(program, context):
    """An SSE subscriber who has read the answer's head."""
    host, port, path = re.match(r"http://([^:]+):(\d+)(.*)", program.subscribe_url("sse")).groups()
    stream = context.wrap_socket(socket.create_connection((host, int(port))))
    path = path.replace("{channel}", "idle")
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n\r\n".encode())
    head = http.client.HTTPResponse(stream)
    head.begin()
    if head.status != 200:
        raise SystemExit(f"{program.name} answers {head.status}")
    return stream, head


def measure(kind, pair, context, count):
    """Bytes a connection."""
    with kind({"tls": pair}) as program:
        first = [subscribe(program, context) for _ in range(10)]  # what is made once is there
        time.sleep(SETTLE)
        before = resident(program)
        others = [subscribe(program, context) for _ in range(count)]
        time.sleep(SETTLE)
        after = resident(program)
        for stream, _ in first + others:
            stream.close()
    return (after - before) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pair = f"{folder}/certificate.pem", f"{folder}/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=relay", "-days", "2", "-out", pair[0], "-keyout", pair[1]],
                       check=True, capture_output=True)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = context.maximum_version = version
            found = {}
            for number in range(asked.rounds):
                for kind in (Fanhorn, Nchan)[::-1 if number % 2 else 1]:
                    try:
                        kind().version()
                    except Unavailable as reason:
                        print(f"without {kind.name}: {reason}")
                        continue
                    found.setdefault(kind.name, []).append(measure(kind, pair, context, asked.connections))
            for name, values in found.items():
                print(f"{version.name} {name}: {statistics.median(values):,.0f} bytes a connection, of "
                      f"{', '.join(format(value, ',.0f') for value in values)}")


if __name__ == "__main__":
    main()
