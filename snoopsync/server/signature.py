"""Is a request signed by whom it says, now, and for the first time? Pure: the time is given.

A signature covers method, path and date, neither query nor body. So whoever hears a request that
changes something could send it again with another body: within the window of its date, a signature
is taken once. Its date counts seconds, so an honest client that has to say the same twice in one
second is asked to come again a second later. Adding an image without an ID is the exception: the
published client adds many in a second, and a second time does nothing to the first image.
"""

from __future__ import annotations

import heapq
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime

from snoopsync.client.signing import signature_of
from snoopsync.errors import Unauthorized, Unavailable

#: How far a request's date may be off our clock.
WINDOW_SECONDS = 15 * 60.0

#: For so long the same addition without an ID may come again: it has the same date.
_SAME_DATE_SECONDS = 2.0

#: So many signatures are remembered at most; a request for which there is no room is put off.
_MOST_REMEMBERED = 1_000_000

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
        self._memory = _Memory()

    def check(self, claim: Claim, now: float, *, known: bool) -> None:
        """Raises ``Unauthorized`` if the request is not signed by a ``known`` key, or not now, and
        ``Unavailable`` (425) if it came before. ``now`` is Unix seconds."""
        public_key = claim.public_key
        expected = signature_of(self._secret_of(public_key), claim.method, claim.path, claim.date)
        given = claim.authorization.removeprefix(_SCHEME).partition(":")[2]
        is_signed = hmac.compare_digest(given.encode(), expected.encode())
        if not (is_signed and known):
            raise Unauthorized("the key is unknown, or the signature is wrong", status=401)
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
            self._memory.take(given, now, sent_at + WINDOW_SECONDS)


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
    """Signatures that were taken, until their date would be refused anyway."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    def take(self, signature: str, now: float, until: float) -> None:
        with self._lock:
            while self._ends and self._ends[0][0] < now:
                self._taken.discard(heapq.heappop(self._ends)[1])
            if signature in self._taken or len(self._taken) >= _MOST_REMEMBERED:
                raise _again("this request was sent already")
            self._taken.add(signature)
            heapq.heappush(self._ends, (until, signature))
