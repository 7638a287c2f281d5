"""Each key opens one collection."""

from __future__ import annotations

import io

import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import NotFound, Unauthorized
from snoopsync.server.tenants import Tenants
from tests.server.helpers import PICTURE
from tests.support.hosted import Hosted


def test_each_key_opens_only_its_collection(service: Hosted) -> None:
    with service.client("one") as one, service.client("two") as two, service.client("one") as again:
        one.add_image(io.BytesIO(PICTURE), "a")
        assert again.get_image("a")["image_id"] == "a"
        assert again.id == one.id != two.id
        assert (one.name, two.name) == ("one", "two")
        with pytest.raises(NotFound):
            two.get_image("a")
        assert two.search_images(io.BytesIO(PICTURE))["results"] == []


def test_a_revoked_key_is_refused_at_once_and_the_other_is_not(service: Hosted) -> None:
    public, secret = service.keys("revoked")
    with Collection(public, secret, service.endpoint) as client:
        client.get_images()
        assert service.hosting.revoke(public)
        assert not service.hosting.revoke(public)
        with pytest.raises(Unauthorized):
            client.get_images()
    with service.client("revoked") as other:
        other.get_images()


def test_an_unknown_key_and_a_wrong_secret_get_the_same_answer(service: Hosted) -> None:
    public, secret = service.keys("alike")
    said = set()
    for keys in ((public, "wrong"), ("unknown", secret), ("unknown", "wrong")):
        with Collection(*keys, service.endpoint) as client, pytest.raises(Unauthorized) as refused:
            client.get_images()
        said.add((refused.value.status, refused.value.message))
    assert len(said) == 1


def test_the_use_of_a_key_is_recorded(service: Hosted) -> None:
    public, secret = service.keys("used")

    def last_use() -> float | None:
        [key] = (each for each in service.hosting.all_keys() if each.public_key == public)
        return key.last_used_at

    assert last_use() is None
    with Collection(public, secret, service.endpoint) as client:
        client.get_images()
    used_at = last_use()
    assert used_at is not None
    with Collection(public, "wrong", service.endpoint) as other, pytest.raises(Unauthorized):
        other.get_images()
    assert last_use() == used_at


def test_a_request_that_no_key_has_signed_waits_for_no_other(
    service: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before it could take one of the threads that look keys up."""

    def fail(*_arguments: object) -> None:
        raise AssertionError("a key is looked up")

    public, _ = service.keys("unsigned")
    monkeypatch.setattr(Tenants, "authorize", fail)
    for keys in ((public, "wrong"), ("unknown", "wrong")):
        with Collection(*keys, service.endpoint) as client, pytest.raises(Unauthorized):
            client.get_images()
