"""VSHMAC: how a request proves that it knows the secret key.

``Authorization: VSHMAC <public key>:<signature>``, where the signature is the base64 of
HMAC-SHA1(secret key, METHOD "\\n" PATH "\\n" DATE). PATH is the path as it is sent:
percent-encoded, with the endpoint's own path before it, without the query. DATE is the ``Date``
header.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from urllib.parse import quote

from snoopsync.core.errors import Refused
from snoopsync.core.protocol import ImageId

#: The service takes IDs of up to this many characters.
LONGEST_ID = 100


class Signer:
    """Signs requests with one pair of keys. Never shows the secret one."""

    def __init__(self, public_key: str, secret_key: str) -> None:
        public_key, secret_key = public_key.strip(), secret_key.strip()
        if not (public_key.isascii() and public_key.isprintable()) or not public_key:
            raise ValueError(f"public_key is no key: {public_key!r}")
        if not secret_key:
            raise ValueError("secret_key is empty")
        self.public_key = public_key
        # Keyed once and copied for every request: the secret itself is not kept.
        self._keyed = hmac.new(secret_key.encode(), digestmod=hashlib.sha1)

    def headers(self, method: str, path: str, time: float) -> dict[str, str]:
        """The ``Date`` (of ``time``, Unix seconds) and ``Authorization`` of a request."""
        date = formatdate(time, usegmt=True)
        signature = _signature(self._keyed, method, path, date)
        return {"Date": date, "Authorization": f"VSHMAC {self.public_key}:{signature}"}


def signature_of(secret_key: str, method: str, path: str, date: str) -> str:
    """What a request of this method, path and date is signed with."""
    keyed = hmac.new(secret_key.strip().encode(), digestmod=hashlib.sha1)
    return _signature(keyed, method, path, date)


def _signature(keyed: hmac.HMAC, method: str, path: str, date: str) -> str:
    signing = keyed.copy()
    signing.update(f"{method}\n{path}\n{date}".encode())
    return base64.b64encode(signing.digest()).decode()


def id_text(image_id: ImageId) -> str:
    """The ID as it is sent: numbers are the most common IDs, and are sent in decimals. Raises
    ``Refused`` if it can't be an ID."""
    if isinstance(image_id, int) and not isinstance(image_id, bool):
        return str(image_id)
    if not isinstance(image_id, str):
        raise Refused(f"an image ID is a text or a number, not {image_id!r:.120}")
    return image_id


def quoted_id(image_id: str) -> str:
    """The ID as one segment of a path. Raises ``Refused`` if it can't be an ID.

    Dots are encoded where the ID is nothing else: as ``.`` and ``..`` they would be taken for
    steps through the path, by the client's library or on the way.
    """
    if not isinstance(image_id, str) or not 1 <= len(image_id) <= LONGEST_ID:
        raise Refused(
            f"an image ID is a text of 1 to {LONGEST_ID} characters, not {image_id!r:.120}"
        )
    if image_id in (".", ".."):
        return image_id.replace(".", "%2E")
    try:
        return quote(image_id, safe="")
    except UnicodeEncodeError:
        raise Refused(f"an image ID is Unicode text, not {image_id!r:.120}") from None
