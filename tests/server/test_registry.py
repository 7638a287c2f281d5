"""The registry: which key opens which collection."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import Refused, SnoopsyncError
from snoopsync.server.registry import Registry


@pytest.fixture
def registry(data: Path) -> Iterator[Registry]:
    with closing(Registry(data)) as registry:
        yield registry


def test_keys_of_one_name_open_one_collection(registry: Registry) -> None:
    one, two, other = (registry.add_key(name) for name in ("shop", " shop ", "other"))
    assert registry.collection_for(one.public_key) == registry.collection_for(two.public_key)
    assert registry.collection_for(one.public_key) != registry.collection_for(other.public_key)
    assert [each.name for each in registry.collections()] == ["other", "shop"]
    assert len({each.path for each in registry.collections()}) == 2


def test_a_revoked_key_opens_nothing_and_stays_listed(registry: Registry) -> None:
    key, other = registry.add_key("shop"), registry.add_key("shop")
    assert registry.revoke(key.public_key)
    assert not registry.revoke(key.public_key)
    assert registry.collection_for(key.public_key) is None
    assert registry.collection_for(other.public_key) is not None
    listed = registry.keys()
    assert [each.public_key for each in listed if each.revoked_at is not None] == [key.public_key]
    assert len(listed) == 2


@pytest.mark.parametrize("public_key", ["", "unknown", "\0"])
def test_an_unknown_key_opens_nothing(registry: Registry, public_key: str) -> None:
    assert not registry.revoke(public_key)
    assert registry.collection_for(public_key) is None


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb"])
def test_an_invalid_name_creates_nothing(registry: Registry, name: str) -> None:
    with pytest.raises(Refused, match="1 to 100 characters"):
        registry.add_key(name)
    assert (registry.keys(), registry.collections()) == ([], [])


def test_another_process_sees_each_change_at_once(registry: Registry, data: Path) -> None:
    with closing(Registry(data)) as other:
        key = other.add_key("shop")
        assert registry.collection_for(key.public_key) is not None
        registry.revoke(key.public_key)
        assert other.collection_for(key.public_key) is None


def test_only_the_owner_can_read_the_registry(registry: Registry, data: Path) -> None:
    registry.add_key("shop")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()} == {0o600}


def test_a_file_that_is_not_a_registry_is_an_error_that_names_it(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "keys.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(SnoopsyncError, match=r"keys\.sqlite3"):
        Registry(data)
