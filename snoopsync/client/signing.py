"""VSHMAC: signs requests, to prove that the client knows the secret key.

``Authorization: VSHMAC <public key>:<signature>``, where the signature is the base64 of
HMAC-SHA1(secret key, METHOD "\\n" PATH "\\n" DATE). PATH is the path as it is sent:
percent-encoded, including the endpoint's own path, without the query. DATE is the ``Date`` header.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from urllib.parse import quote

from snoopsync.core.errors import Refused
from snoopsync.core.protocol import ImageId

#: The largest number of characters of an image ID.
LONGEST_ID = 100


class Signer:
    """Signs requests with one key pair. Its ``repr`` and errors never contain the secret key."""

    def __init__(self, public_key: str, secret_key: str) -> None:
        public_key, secret_key = public_key.strip(), secret_key.strip()
        if not (public_key.isascii() and public_key.isprintable()) or not public_key:
            raise ValueError(f"public_key is not a valid key: {public_key!r}")
        if not secret_key:
            raise ValueError("secret_key is empty")
        self.public_key = public_key
        # This is keyed once and copied for every request, so the secret itself is not kept.
        self._keyed = hmac.new(secret_key.encode(), digestmod=hashlib.sha1)

    def headers(self, method: str, path: str, time: float) -> dict[str, str]:
        """Return the ``Date`` and ``Authorization`` headers of a request. ``time``: Unix
        seconds."""
        date = formatdate(time, usegmt=True)
        signature = _signature(self._keyed, method, path, date)
        return {"Date": date, "Authorization": f"VSHMAC {self.public_key}:{signature}"}


def parse_date(text: str) -> float | None:
    """Return the date in a header as Unix seconds; ``None`` if it is not a date."""
    try:
        date = parsedate_to_datetime(text)
        # "-0000" is UTC with an unknown time zone, which Python parses as a naive time.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def signature_of(secret_key: str, method: str, path: str, date: str) -> str:
    """Return the signature of a request with this method, path and date."""
    keyed = hmac.new(secret_key.strip().encode(), digestmod=hashlib.sha1)
    return _signature(keyed, method, path, date)


def _signature(keyed: hmac.HMAC, method: str, path: str, date: str) -> str:
    signing = keyed.copy()
    signing.update(f"{method}\n{path}\n{date}".encode())
    return base64.b64encode(signing.digest()).decode()


def id_text(image_id: ImageId) -> str:
    """Return the ID as text. A number, which is a common ID, becomes decimal digits. Raises
    ``Refused`` for other types."""
    if isinstance(image_id, int) and not isinstance(image_id, bool):
        return str(image_id)
    if not isinstance(image_id, str):
        raise Refused(f"an image ID must be a text or a number, not {image_id!r:.120}")
    return image_id


def quoted_id(image_id: str) -> str:
    """Return the ID as one segment of a path. Raises ``Refused`` if it is not a valid ID.

    The IDs ``.`` and ``..`` are encoded, because HTTP libraries and proxies would resolve them as
    relative steps.
    """
    if not isinstance(image_id, str) or not 1 <= len(image_id) <= LONGEST_ID:
        raise Refused(
            f"an image ID must be a text of 1 to {LONGEST_ID} characters, not {image_id!r:.120}"
        )
    if image_id in (".", ".."):
        return image_id.replace(".", "%2E")
    try:
        return quote(image_id, safe="")
    except UnicodeEncodeError:
        raise Refused(f"an image ID must be valid Unicode, not {image_id!r:.120}") from None
