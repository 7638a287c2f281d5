"""Checks the dates of the service's own certificate."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

#: A certificate with fewer days left should be renewed.
_DAYS_LEFT = 14

#: OpenSSL's codes (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10


def certificate_warning(service: ssl.SSLContext, certificate: Path, now: float) -> str | None:
    """Return a warning if clients refuse this certificate because of its dates, or soon will, else
    ``None``. ``service`` uses the certificate and its key. ``now`` is Unix seconds."""
    try:
        expires = _expiry(service, certificate)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            return f"{certificate} has expired: clients refuse it. Renew it and restart the service"
        if error.verify_code == _NOT_YET_VALID:
            return f"{certificate} is not valid yet: clients refuse it. Is the clock right?"
        return None
    except (ssl.SSLError, OSError):
        return None  # the clients report what is wrong
    if expires - now < _DAYS_LEFT * 86400:
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))
        return f"{certificate} expires on {day}: renew it before that day and restart the service"
    return None


def _expiry(service: ssl.SSLContext, certificate: Path) -> float:
    """Return when the certificate expires, in Unix seconds. Raises ``ssl.SSLError``.

    Python reads a certificate only during a handshake, so this performs one in memory.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.load_verify_locations(certificate)
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # trust it without its issuer
    to_client, to_service = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_service)
    answering = service.wrap_bio(to_service, to_client, server_side=True)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            try:
                answering.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(found["notAfter"])))
