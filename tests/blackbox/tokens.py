# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens, made as an application makes them: by hmac, or by the openssl program."""

import base64
import hmac
import json
import subprocess
import time


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_part(claims, header):
    return ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))


def claims_of(user="alice", channels=(), publish=(), lasts=60, **more):
    return {"sub": user, "channels": list(channels), "publish": list(publish), "exp": time.time() + lasts, **more}


def secret_token(secret, claims, algorithm="HS256", **header):
    text = signed_part(claims, {"alg": algorithm, "typ": "JWT", **header})
    code = hmac.new(secret.encode(), text.encode(), "sha" + algorithm[2:]).digest()
    return f"{text}.{base64url(code)}"


def der_integers(signature):
    """The two numbers of a DER sequence, 32 bytes each (RFC 7518 section 3.4)."""
    at, out = 2, b""
    for _ in range(2):
        size = signature[at + 1]
        out += signature[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + size
    return out


class KeyPair:
    """`algorithm` is RS256, PS256, ES256 or EdDSA; the keys are files in `folder`."""

    OPTIONS = {"RS256": ["-algorithm", "RSA"], "PS256": ["-algorithm", "RSA"], "EdDSA": ["-algorithm", "ED25519"],
               "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]}

    def __init__(self, folder, algorithm):
        self.algorithm = algorithm
        self.private, self.public = folder / f"{algorithm}.key", folder / f"{algorithm}.pem"
        self._openssl("genpkey", *self.OPTIONS[algorithm], "-out", self.private)
        self._openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    @staticmethod
    def _openssl(*args, data=None):
        return subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, check=True).stdout

    def sign(self, text):
        if self.algorithm == "EdDSA":  # no digest; the program wants a file
            path = self.private.with_suffix(".text")
            path.write_bytes(text)
            return self._openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", path)
        padding = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
        signature = self._openssl("dgst", "-sha256", "-sign", self.private,
                                  *(padding if self.algorithm == "PS256" else []), data=text)
        return der_integers(signature) if self.algorithm == "ES256" else signature

    def token(self, claims, **header):
        text = signed_part(claims, {"alg": self.algorithm, **header})
        return f"{text}.{base64url(self.sign(text.encode()))}"
