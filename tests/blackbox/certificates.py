# SPDX-License-Identifier: Apache-2.0
"""Certificates, made by the openssl program, and clients that trust them."""

import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path


class Authority:
    """A folder with an authority's certificate, ca.pem, and what it has signed: NAME.pem, NAME.key."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="fanhorn-ca-"))
        self._openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem "
                      "-days 2 -subj /CN=ca")

    def _openssl(self, command):
        subprocess.run(["openssl", *command.split()], cwd=self.folder, check=True, capture_output=True)

    def sign(self, name, *hosts, days=1, kind="ec -pkeyopt ec_paramgen_curve:P-256"):
        """A certificate for those hosts, names or addresses; the paths of it and of its key."""
        names = ",".join(("IP:" if host.replace(".", "").isdigit() else "DNS:") + host for host in hosts)
        (self.folder / "ext").write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        self._openssl(f"req -newkey {kind} -nodes -keyout {name}.key -out r.csr -subj /CN={name}")
        self._openssl(f"x509 -req -in r.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} "
                      f"-extfile ext -out {name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def client(self, version=None, certificate=None, alpn=None):
        """A context that trusts it; `version`: '1.2' or '1.3' alone; `certificate`: of the client, as sign() gives it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.folder / "ca.pem")
        if version:
            number = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
            context.minimum_version = context.maximum_version = number
        if certificate:
            context.load_cert_chain(*certificate)
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def server(self, certificate, asks=False):
        """The context of a server with that certificate, as sign() gives it; `asks`: clients need one of ours."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.folder / "ca.pem")
        return context

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def connect(address, context, host="relay.example", session=None, timeout=15):
    """A connection whose handshake is done."""
    plain = socket.create_connection(address, timeout)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(plain, server_hostname=host, session=session)
    except BaseException:
        plain.close()
        raise
