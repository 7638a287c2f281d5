"""Checks that a request is signed by its key, recently, and for the first time.

A signature covers the method, the path and the date, but neither query nor body. Anyone who records
a request that changes something could send it again with another body. So a signature is accepted
once as long as its date is valid. The date has whole seconds, so a client that repeats a request
within a second must send it again a second later. Adding an image without an ID is an exception:
the published client adds many images in a second, and a repetition changes no image.

The functions here read no clock: the time is an argument.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from snoopsync.client.signing import parse_date, signature_of
from snoopsync.core.errors import Unauthorized, Unavailable

#: The largest difference between a request's date and the service's clock.
WINDOW_SECONDS = 15 * 60.0

#: How long an addition without an ID may be repeated with the same date.
_SAME_DATE_SECONDS = 2.0

#: The largest number of signatures that are stored for one key: about 20 MB of memory, or 220
#: changes per second for the whole window. Only a key with more changes must wait.
MAX_SIGNATURES_PER_KEY = 200_000

#: The longest wait for a key with too many changes.
_LONGEST_WAIT_SECONDS = 60.0

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

    def __init__(
        self,
        secret_of: Callable[[str], str],
        started_at: float,
        most_signatures: int = MAX_SIGNATURES_PER_KEY,
    ) -> None:
        """``secret_of`` returns a secret for every public key, even one that does not exist.
        ``started_at`` is Unix seconds: changes from before may be repetitions, and are refused.
        ``most_signatures`` are remembered for each key."""
        self._secret_of = secret_of
        self._started_at = started_at
        self._most_signatures = most_signatures
        self._histories: dict[str, _History] = {}

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
        if request.changes and sent_at < self._started_at - _SAME_DATE_SECONDS:
            raise _send_again("the service was restarted after this request was signed")
        if request.changes and (request.is_unique or now - sent_at > _SAME_DATE_SECONDS):
            history = self._histories.setdefault(
                request.public_key, _History(self._most_signatures)
            )
            history.add(_signature_in(request), now, int(sent_at))

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


def _send_again(reason: str) -> Unavailable:
    return Unavailable(f"{reason}: send it again with a new date", status=425, retry_after=1.0)


class _History:
    """The accepted signatures of one key, until their date is too old anyway."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._count = 0
        self._cleaned_at = 0
        #: Grouped by the second of their date, so that they are removed together.
        self._accepted: dict[int, set[bytes]] = {}

    def add(self, signature: str, now: float, second: int) -> None:
        """Remember a signature. Raises ``Unavailable`` for a known one, or when too many are
        remembered."""
        digest = hashlib.blake2b(signature.encode(), digest_size=16).digest()
        with self._lock:
            self._remove_old(now)
            if digest in self._accepted.get(second, ()):
                raise _send_again("this request was sent before")
            if self._count >= self._most:
                raise self._too_many(now)
            self._accepted.setdefault(second, set()).add(digest)
            self._count += 1

    def _remove_old(self, now: float) -> None:
        if int(now) == self._cleaned_at:
            return
        self._cleaned_at = int(now)
        for second in [each for each in self._accepted if each + 1 + WINDOW_SECONDS < now]:
            self._count -= len(self._accepted.pop(second))

    def _too_many(self, now: float) -> Unavailable:
        wait = min(self._accepted) + 2 + WINDOW_SECONDS - now
        return Unavailable(
            f"this key has sent {self._most} changes within the last half hour, which is the limit",
            status=429,
            retry_after=min(max(1.0, wait), _LONGEST_WAIT_SECONDS),
        )
