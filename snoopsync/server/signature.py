"""Is a request signed by whom it says, now, and for the first time? Pure: the time is given.

A signature covers method, path and date, neither query nor body. So whoever hears a request that
changes something could send it again with another body: within the window of its date, a signature
is taken once. Its date counts seconds, so an honest client that has to say the same twice in one
second is asked to come again a second later. Adding an image without an ID is the exception: the
published client adds many in a second, and a second time does nothing to the first image.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime

from snoopsync.client.signing import signature_of
from snoopsync.core.errors import Unauthorized, Unavailable

#: How far a request's date may be off our clock.
WINDOW_SECONDS = 15 * 60.0

#: For so long the same addition without an ID may come again: it has the same date.
_SAME_DATE_SECONDS = 2.0

#: So many signatures of one key are remembered at most, some 20 MB of memory: 220 changes a second
#: for the whole window. A key beyond that has to wait, and no other.
_MOST_OF_A_KEY = 200_000

#: How long a key that has used up its memory is asked to wait at most (seconds).
_LONGEST_WAIT_SECONDS = 60.0

_SCHEME = "VSHMAC "


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of itself. ``path`` is as it was sent; ``once``: it changes something,
    and a second time would too."""

    method: str
    path: str
    date: str
    authorization: str
    changes: bool
    once: bool

    @property
    def public_key(self) -> str:
        """Whose request it says it is; empty if it does not say."""
        if not self.authorization.startswith(_SCHEME):
            return ""
        return self.authorization.removeprefix(_SCHEME).partition(":")[0]


class Verifier:
    """Checks claims. For any thread."""

    def __init__(self, secret_of: Callable[[str], str], started_at: float) -> None:
        """``secret_of`` gives a secret for every public key, of a pair that there is or not.
        ``started_at`` (Unix seconds): of what came before then, nothing is remembered."""
        self._secret_of = secret_of
        self._started_at = started_at
        self._memories: dict[str, _Memory] = {}

    def check(self, claim: Claim, now: float, *, known: bool) -> None:
        """Raises ``Unauthorized`` if the request is not signed by a ``known`` key, or not now, and
        ``Unavailable`` if it came before (425), or if its key has sent more changes than are
        remembered (429). ``now`` is Unix seconds."""
        self.require_signature(claim)
        if not known:
            raise _unauthorized()
        sent_at = _seconds(claim.date)
        if sent_at is None or abs(now - sent_at) > WINDOW_SECONDS:
            raise Unauthorized(
                f"the request's date is off by more than {WINDOW_SECONDS / 60:.0f} minutes: here it"
                f" is {formatdate(now, usegmt=True)}",
                status=401,
            )
        if claim.changes and sent_at < self._started_at - _SAME_DATE_SECONDS:
            raise _again("the service has begun anew since this request was signed")
        if claim.changes and (claim.once or now - sent_at > _SAME_DATE_SECONDS):
            memory = self._memories.setdefault(claim.public_key, _Memory())
            memory.take(_given(claim), now, int(sent_at))

    def require_signature(self, claim: Claim) -> None:
        """Raises ``Unauthorized`` if no key has signed the request. It takes some microseconds and
        waits for nothing. Whether there is such a key, only ``check`` tells."""
        secret = self._secret_of(claim.public_key)
        expected = signature_of(secret, claim.method, claim.path, claim.date)
        if not hmac.compare_digest(_given(claim).encode(), expected.encode()):
            raise _unauthorized()


def _given(claim: Claim) -> str:
    return claim.authorization.removeprefix(_SCHEME).partition(":")[2]


def _unauthorized() -> Unauthorized:
    return Unauthorized("the key is unknown, or the signature is wrong", status=401)


def _seconds(date: str) -> float | None:
    try:
        sent = parsedate_to_datetime(date)
        # "-0000" is UTC too, of which nothing more is known.
        return (sent if sent.tzinfo else sent.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _again(reason: str) -> Unavailable:
    return Unavailable(f"{reason}: send it with a new date", status=425, retry_after=1.0)


class _Memory:
    """Signatures of one key that were taken, until their date would be refused anyway."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._forgot_at = 0
        #: By the second of their date, so that they are forgotten together.
        self._taken: dict[int, set[bytes]] = {}

    def take(self, signature: str, now: float, second: int) -> None:
        """Remember it. Raises ``Unavailable`` if it is known, or there is no room."""
        kept = hashlib.blake2b(signature.encode(), digest_size=16).digest()
        with self._lock:
            self._forget(now)
            if kept in self._taken.get(second, ()):
                raise _again("this request was sent already")
            if self._count >= _MOST_OF_A_KEY:
                raise self._full(now)
            self._taken.setdefault(second, set()).add(kept)
            self._count += 1

    def _forget(self, now: float) -> None:
        if int(now) == self._forgot_at:
            return
        self._forgot_at = int(now)
        for second in [each for each in self._taken if each + 1 + WINDOW_SECONDS < now]:
            self._count -= len(self._taken.pop(second))

    def _full(self, now: float) -> Unavailable:
        wait = min(self._taken) + 2 + WINDOW_SECONDS - now
        return Unavailable(
            f"this key has sent {_MOST_OF_A_KEY} changes within the last half hour, as many as are"
            " remembered",
            status=429,
            retry_after=min(max(1.0, wait), _LONGEST_WAIT_SECONDS),
        )
