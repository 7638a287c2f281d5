"""TLS: decides which certificates are trusted, and describes TLS errors."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snoopsync.core.protocol import SYSTEM_STORE

#: The environment variables for trusted certificates, in the order of precedence. They belong to
#: requests, curl and OpenSSL.
_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

#: The usual files with a system's trusted certificates, for when OpenSSL does not know the file:
#: Debian and Arch, Fedora, openSUSE, Alpine.
_SYSTEM_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)

_ADD_AUTHORITY = (
    "set collection.ca_file to the certificate of its authority (PEM), or to `system` if this"
    " machine trusts it"
)
_NO_TLS = "the service does not use TLS on this port: correct the port, or use http://"
_OLD_TLS = "the service does not support a secure version of TLS: it needs TLS 1.2 or newer"
_NO_CIPHER = "the service and snoopsync have no secure cipher in common"

#: The meaning of OpenSSL's codes for a refused certificate (x509_vfy.h), and what to do.
_VERIFICATIONS = {
    9: "its certificate is not valid yet: correct the clock of this machine, or the certificate",
    10: "its certificate has expired: renew it, or correct the clock of this machine",
    18: f"its certificate is self-signed: {_ADD_AUTHORITY}",
    19: f"its certificate is from an authority that is not trusted here: {_ADD_AUTHORITY}",
    20: f"its certificate is from an authority that is not trusted here: {_ADD_AUTHORITY}; or the"
    " service does not send the intermediate certificates",
    21: f"its certificate can't be verified: {_ADD_AUTHORITY}; or the service does not send the"
    " intermediate certificates",
}

#: Parts of OpenSSL's names for the other failures (sslerr.h), and what they mean.
_REASONS = (
    ("CERTIFICATE_REQUIRED", "the service requires a client certificate, but snoopsync has none"),
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("HTTP_REQUEST", _NO_TLS),
    ("RECORD_LAYER_FAILURE", _NO_TLS),
    ("PACKET_LENGTH_TOO_LONG", _NO_TLS),
    ("UNSUPPORTED_PROTOCOL", _OLD_TLS),
    ("ALERT_PROTOCOL_VERSION", _OLD_TLS),
    ("VERSION_TOO_LOW", _OLD_TLS),
    ("HANDSHAKE_FAILURE", f"the service refuses the TLS handshake: {_NO_CIPHER}"),
    ("NO_SHARED_CIPHER", _NO_CIPHER),
    ("INSUFFICIENT_SECURITY", _NO_CIPHER),
    (
        "UNRECOGNIZED_NAME",
        "the service has no certificate for this name: correct collection.endpoint",
    ),
)


def describe_tls_error(error: ssl.SSLError) -> str:
    """Return what a TLS error means, and what to do, on one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        message = error.verify_message.rstrip(".")
        return _VERIFICATIONS.get(error.verify_code, f"its certificate is not trusted: {message}")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return (
            "the service closed the connection during the TLS handshake: it does not use TLS on"
            " this port, or it requires a client certificate, but snoopsync has none"
        )
    reason = error.reason or ""
    for part, meaning in _REASONS:
        if part in reason:
            return meaning
    return f"TLS failed: {reason.replace('_', ' ').lower() or type(error).__name__}"


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The trusted certificates. ``path``: a PEM file or an OpenSSL directory; ``None`` for the
    certificates that come with snoopsync (those of certifi). ``source``: the setting's name."""

    path: str | None
    source: str

    @property
    def problem(self) -> str | None:
        """Why the certificates can't be used, on one line; ``None`` if they can be."""
        if self.path is None:
            return None
        path = Path(self.path)
        try:
            if path.is_dir():
                next(path.iterdir())
            else:
                ssl.create_default_context(cafile=self.path)
        except StopIteration:
            why = "the directory is empty"
        except ssl.SSLError:
            why = "the file contains no PEM certificates"
        except OSError as error:
            why = error.strerror or "it can't be read"
        else:
            return None
        return f"{self.source}: {self.path}: {why}"


def choose_trust_store(ca_file: str | None, environ: Mapping[str, str]) -> TrustStore:
    """Return the certificates to trust: those of ``ca_file`` (a path, or ``SYSTEM_STORE``),
    otherwise those that the environment names, otherwise those that come with snoopsync."""
    if ca_file == SYSTEM_STORE:
        return TrustStore(_system_store(), "collection.ca_file: system")
    if ca_file:
        return TrustStore(ca_file, "collection.ca_file")
    for variable in _VARIABLES:
        if path := environ.get(variable):
            return TrustStore(path, f"${variable}")
    return TrustStore(None, "certifi")


def _system_store() -> str:
    """The path of the system's trusted certificates, or the default path of OpenSSL if none are
    found."""
    known = ssl.get_default_verify_paths()
    files = [path for path in (known.cafile, *_SYSTEM_FILES) if path and Path(path).is_file()]
    return next(iter(files), known.capath or known.openssl_cafile)
