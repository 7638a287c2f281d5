"""The one-time token, the cookie and the CSRF token."""

from __future__ import annotations

import pytest

from snoopsync.review.entry import TOKEN_SECONDS, Entry, is_csrf_token


class Watch:
    """Seconds that pass when a test says so."""

    seconds = 0.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def entry(watch: Watch) -> Entry:
    return Entry(8471, watch.now)


def test_the_token_is_exchanged_for_a_session_once(entry: Entry) -> None:
    session = entry.enter(entry.token)
    assert session is not None
    assert entry.session_of(session.cookie) == session
    assert entry.enter(entry.token) is None
    assert entry.session_of(session.cookie) == session


def test_the_token_is_valid_for_a_minute(entry: Entry, watch: Watch) -> None:
    watch.seconds = TOKEN_SECONDS
    assert entry.enter(entry.token) is None


def test_a_session_has_no_end_while_the_page_runs(entry: Entry, watch: Watch) -> None:
    watch.seconds = TOKEN_SECONDS - 0.1
    session = entry.enter(entry.token)
    assert session is not None
    watch.seconds = 1e6
    assert entry.session_of(session.cookie) is not None


def test_a_wrong_token_gives_no_session_and_uses_up_nothing(entry: Entry) -> None:
    for wrong in ("", entry.token[:-1], entry.token + "x", "\ud800", "ü"):
        assert entry.enter(wrong) is None
    assert entry.enter(entry.token) is not None


def test_a_wrong_cookie_has_no_session(entry: Entry) -> None:
    assert entry.session_of("") is None
    session = entry.enter(entry.token)
    assert session is not None
    for wrong in (None, "", session.csrf_token, entry.token, session.cookie + " ", "\ud800"):
        assert entry.session_of(wrong) is None


def test_the_csrf_token_is_another_secret_than_the_cookie(entry: Entry) -> None:
    session = entry.enter(entry.token)
    assert session is not None
    assert is_csrf_token(session, session.csrf_token)
    for wrong in (None, "", session.cookie, entry.token, session.csrf_token[1:]):
        assert not is_csrf_token(session, wrong)


def test_secrets_have_256_bits_and_two_pages_have_different_ones(watch: Watch) -> None:
    one, other = Entry(1, watch.now), Entry(2, watch.now)
    assert one.token != other.token
    assert len(one.token) >= 43
    assert one.cookie_name != other.cookie_name
