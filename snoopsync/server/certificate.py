"""The service's own certificate: is it still valid, and for how long?"""

from __future__ import annotations

import ssl
import time
from pathlib import Path

#: With less time left, it is high time to renew a certificate (days).
_DAYS_LEFT = 14

#: OpenSSL's codes (x509_vfy.h).
_NOT_YET_VALID, _EXPIRED = 9, 10


def certificate_warning(service: ssl.SSLContext, certificate: Path, now: float) -> str | None:
    """Why clients refuse this certificate, or soon will, by its dates; ``None`` if they do not.
    ``service`` has it and its key, ``now`` is in Unix seconds."""
    try:
        expires = _presented(service, certificate)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            return f"{certificate} has expired: clients refuse it. Renew it, and restart"
        if error.verify_code == _NOT_YET_VALID:
            return f"{certificate} is not valid yet: clients refuse it. Is the clock right?"
        return None
    except (ssl.SSLError, OSError):
        return None  # clients will say what is wrong
    if expires - now < _DAYS_LEFT * 86400:
        day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))
        return f"{certificate} expires on {day}: renew it before, and restart"
    return None


def _presented(service: ssl.SSLContext, certificate: Path) -> float:
    """When it expires, in Unix seconds. Python reads a certificate only from a handshake with
    somebody who trusts it: that is made here, in memory. Raises ``ssl.SSLError``."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.load_verify_locations(certificate)
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # its issuer need not be there
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
