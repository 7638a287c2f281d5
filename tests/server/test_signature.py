"""Signatures: each is checked, recent, and accepted once."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from snoopsync.client.signing import Signer
from snoopsync.core.errors import Unauthorized, Unavailable
from snoopsync.server.signature import SignedRequest, Verifier
from snoopsync.storage.hosting import WINDOW_SECONDS
from snoopsync.storage.sqlite.signatures import MemorySignatures

NOW = 1_800_000_000.0


def signed_request(
    method: str = "PUT",
    date: float = NOW,
    image_id: str = "/a",
    secret: str = "s",
    key: str = "key",
) -> SignedRequest:
    path = f"/api/v1/image{image_id}"
    headers = Signer(key, secret).headers(method, path, date)
    return SignedRequest(
        method,
        path,
        headers["Date"],
        headers["Authorization"],
        changes=method != "GET",
        is_unique=bool(image_id),
    )


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(lambda _public_key: "s", MemorySignatures(NOW - 3600.0))


@pytest.mark.parametrize("off", [-WINDOW_SECONDS + 1, -60.0, 0.0, 60.0, WINDOW_SECONDS - 1])
def test_a_date_within_a_quarter_of_an_hour_is_accepted(verifier: Verifier, off: float) -> None:
    verifier.check(signed_request(date=NOW + off), NOW, key_exists=True)


@pytest.mark.parametrize("off", [-WINDOW_SECONDS - 2, WINDOW_SECONDS + 2])
def test_another_date_is_refused_with_the_time_of_the_service(
    verifier: Verifier, off: float
) -> None:
    with pytest.raises(Unauthorized, match=formatdate(NOW, usegmt=True)):
        verifier.check(signed_request(date=NOW + off), NOW, key_exists=True)


def test_no_date_is_refused(verifier: Verifier) -> None:
    headers = Signer("key", "s").headers("GET", "/x", NOW)
    for date in ("", "soon", "Thu, 99 Foo 2026 00:00:00 GMT"):
        bad = SignedRequest(
            "GET", "/x", date, headers["Authorization"], changes=False, is_unique=False
        )
        with pytest.raises(Unauthorized):
            verifier.check(bad, NOW, key_exists=True)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_change_is_accepted_once(verifier: Verifier, method: str) -> None:
    verifier.check(signed_request(method), NOW, key_exists=True)
    for later in (0.0, 1.0, WINDOW_SECONDS - 1):
        with pytest.raises(Unavailable) as again:
            verifier.check(signed_request(method), NOW + later, key_exists=True)
        assert (again.value.status, again.value.retry_after) == (425, 1.0)
    verifier.check(signed_request(method, NOW + 1), NOW + 1, key_exists=True)


def test_a_read_may_be_repeated(verifier: Verifier) -> None:
    for _ in range(3):
        verifier.check(signed_request("GET"), NOW, key_exists=True)


def test_images_without_an_id_may_be_repeated_within_a_second_only(verifier: Verifier) -> None:
    for _ in range(3):
        verifier.check(signed_request("POST", image_id=""), NOW + 1.0, key_exists=True)
    verifier.check(signed_request("POST", image_id=""), NOW + 60.0, key_exists=True)
    with pytest.raises(Unavailable):
        verifier.check(signed_request("POST", image_id=""), NOW + 61.0, key_exists=True)


def test_a_change_that_was_signed_before_the_start_must_be_signed_again(verifier: Verifier) -> None:
    """The service does not remember whether it accepted the change before."""
    late = Verifier(lambda _public_key: "s", MemorySignatures(NOW))
    with pytest.raises(Unavailable):
        late.check(signed_request(date=NOW - 60.0), NOW, key_exists=True)
    late.check(signed_request("GET", NOW - 60.0), NOW, key_exists=True)


def change(key: str, number: int, date: float) -> SignedRequest:
    return signed_request(date=date, image_id=f"/{number}", key=key)


def test_only_a_key_with_too_many_changes_has_to_wait() -> None:
    verifier = Verifier(lambda _: "s", MemorySignatures(NOW - 3600.0, most_signatures=3))
    for number in range(3):
        verifier.check(change("greedy", number, NOW), NOW, key_exists=True)
    with pytest.raises(Unavailable) as refused:
        verifier.check(change("greedy", 3, NOW), NOW, key_exists=True)
    assert (refused.value.status, refused.value.retry_after) == (429, 60.0)
    verifier.check(change("other", 0, NOW), NOW, key_exists=True)
    with pytest.raises(Unavailable) as again:
        verifier.check(change("greedy", 0, NOW), NOW + WINDOW_SECONDS, key_exists=True)
    assert again.value.status == 425
    later = NOW + WINDOW_SECONDS + 2.0
    verifier.check(change("greedy", 3, later), later, key_exists=True)
