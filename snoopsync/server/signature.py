"""Checks that a request is signed by its key, recently, and for the first time.

A signature covers the method, the path and the date, but neither query nor body. Anyone who records
a request that changes something could send it again with another body. So a signature is accepted
once as long as its date is valid. The date has whole seconds, so a client that repeats a request
within a second must send it again a second later. Adding an image without an ID is an exception:
the published client adds many images in a second, and a repetition changes no image.

The functions here read no clock: the time is an argument.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from snoopsync.client.signing import parse_date, signature_of
from snoopsync.core.errors import Unauthorized
from snoopsync.storage.hosting import WINDOW_SECONDS, SignatureHistory, send_again

#: How long an addition without an ID may be repeated with the same date.
_SAME_DATE_SECONDS = 2.0

_SCHEME = "VSHMAC "


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The signed parts of a request, which are not verified yet.

    ``path`` is as it was sent. ``changes``: the request changes something. ``is_unique``: a
    repetition would change something too, so the signature is accepted once.
    """

    method: str
    path: str
    date: str
    authorization: str
    changes: bool
    is_unique: bool

    @property
    def public_key(self) -> str:
        """The key that the request names, or an empty text."""
        if not self.authorization.startswith(_SCHEME):
            return ""
        return self.authorization.removeprefix(_SCHEME).partition(":")[0]


class Verifier:
    """Verifies signed requests. For any number of threads."""

    def __init__(self, secret_of: Callable[[str], str], history: SignatureHistory) -> None:
        """``secret_of`` returns a secret for every public key, even one that does not exist.
        Changes from before ``history`` began may be repetitions, and are refused."""
        self._secret_of = secret_of
        self._history = history

    def check(self, request: SignedRequest, now: float, *, key_exists: bool) -> None:
        """Accept a request. ``now`` is Unix seconds.

        Raises ``Unauthorized`` for a wrong signature or date, or if no ``key_exists``, and
        ``Unavailable`` for a repetition (425), or if the key has sent too many changes (429).
        """
        self.require_signature(request)
        if not key_exists:
            raise _unauthorized()
        sent_at = parse_date(request.date)
        if sent_at is None or abs(now - sent_at) > WINDOW_SECONDS:
            raise Unauthorized(
                f"the request's date differs by more than {WINDOW_SECONDS / 60:.0f} minutes from"
                f" the service's time, {formatdate(now, usegmt=True)}",
                status=401,
            )
        if request.changes and (request.is_unique or now - sent_at > _SAME_DATE_SECONDS):
            self._history.accept(request.public_key, _signature_in(request), sent_at, now)
        # After accepting it, which may show that the history has begun again.
        if request.changes and sent_at < self._history.remembers_since - _SAME_DATE_SECONDS:
            raise send_again("the service was restarted after this request was signed")

    def require_signature(self, request: SignedRequest) -> None:
        """Raise ``Unauthorized`` if the key that the request names has not signed it. Takes some
        microseconds and does not block. Only ``check`` knows whether the key exists."""
        secret = self._secret_of(request.public_key)
        expected = signature_of(secret, request.method, request.path, request.date)
        if not hmac.compare_digest(_signature_in(request).encode(), expected.encode()):
            raise _unauthorized()


def _signature_in(request: SignedRequest) -> str:
    return request.authorization.removeprefix(_SCHEME).partition(":")[2]


def _unauthorized() -> Unauthorized:
    return Unauthorized("the key is unknown, or the signature is wrong", status=401)
