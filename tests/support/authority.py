"""A certificate authority for the tests, and its certificates. Needs openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HOST = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, and its private key."""

    path: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context


class Authority:
    """Signs certificates for this machine. ``path`` is the authority's own certificate."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        self._directory = directory
        self.path = directory / "authority.pem"
        self._key = directory / "authority.key"
        _openssl(
            *("req", "-x509", *_new_key(self._key), "-out", self.path, "-days", "2"),
            *("-subj", "/CN=The Tests", "-addext", "basicConstraints=critical,CA:TRUE"),
        )

    def signed(self, name: str, *, days: int = 1, extension: str = HOST) -> Certificate:
        """Return a certificate that is valid for ``days``. If ``days`` is negative, it has
        expired."""
        made = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        request, extensions = self._directory / f"{name}.csr", self._directory / f"{name}.ext"
        extensions.write_text(extension + "\n")
        _openssl("req", *_new_key(made.key), "-out", request, "-subj", f"/CN={name}")
        _openssl(
            *("x509", "-req", "-in", request, "-out", made.path, "-days", str(days)),
            *("-CA", self.path, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions),
        )
        return made

    def self_signed(self, name: str) -> Certificate:
        made = Certificate(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        _openssl(
            *("req", "-x509", *_new_key(made.key), "-out", made.path, "-days", "1"),
            *("-subj", f"/CN={name}", "-addext", HOST),
        )
        return made


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
