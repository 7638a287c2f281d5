"""Who may use the page: a one-time token is exchanged for a cookie.

The token is in the address that the command prints. It is valid for 60 seconds, once. Cookies are
not kept apart by port, so the name of the cookie contains the port: two pages do not overwrite each
other's. For the same reason a cookie is valid for one user of the machine only: see ``peer``.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

TOKEN_SECONDS = 60.0

#: 256 bits, which nobody can guess.
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has entered. ``csrf_token`` goes with each of its requests that changes
    something. ``user``: whose browser it is, by number; ``None`` if that is not known."""

    cookie: str
    csrf_token: str
    user: int | None


class Entry:
    """The token and the session. For any thread. ``monotonic``: seconds that never go back."""

    def __init__(self, port: int, monotonic: Callable[[], float]) -> None:
        self.cookie_name = f"snoopsync-review-{port}"
        self.token = secrets.token_urlsafe(_SECRET_BYTES)
        self._monotonic = monotonic
        self._valid_until = monotonic() + TOKEN_SECONDS
        self._is_used = False
        self._lock = threading.Lock()
        self._session: Session | None = None

    def enter(self, token: str, user: int | None = None) -> Session | None:
        """Exchange the token for a session of this user; ``None`` if it is wrong, late or used."""
        is_right = _equal(token, self.token)
        with self._lock:
            if not is_right or self._is_used or self._monotonic() >= self._valid_until:
                return None
            self._is_used = True
            self._session = Session(
                secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES), user
            )
            return self._session

    def session_of(self, cookie: str | None) -> Session | None:
        """The session with this cookie; ``None`` if there is none."""
        session = self._session
        if session is None or cookie is None or not _equal(cookie, session.cookie):
            return None
        return session


def is_csrf_token(session: Session, given: str | None) -> bool:
    """Returns whether this is the session's CSRF token."""
    return given is not None and _equal(given, session.csrf_token)


def _equal(given: str, expected: str) -> bool:
    """Compares in a time that does not depend on where the two differ."""
    return secrets.compare_digest(given.encode(errors="replace"), expected.encode())
