"""Which key opens which collection."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import Refused, SnoopsyncError
from snoopsync.storage.sqlite.registry import SqliteHosting


@pytest.fixture
def hosting(data: Path) -> Iterator[SqliteHosting]:
    with closing(SqliteHosting(data, 0.0)) as hosting:
        yield hosting


def test_keys_of_one_name_open_one_collection(hosting: SqliteHosting) -> None:
    one, two, other = (hosting.add_key(name) for name in ("shop", " shop ", "other"))
    assert hosting.collection_for(one.public_key) == hosting.collection_for(two.public_key)
    assert hosting.collection_for(one.public_key) != hosting.collection_for(other.public_key)
    assert [each.name for each in hosting.collections()] == ["other", "shop"]
    assert len({each.collection_id for each in hosting.collections()}) == 2


def test_a_revoked_key_opens_nothing_and_stays_listed(hosting: SqliteHosting) -> None:
    key, other = hosting.add_key("shop"), hosting.add_key("shop")
    assert hosting.revoke(key.public_key)
    assert not hosting.revoke(key.public_key)
    assert hosting.collection_for(key.public_key) is None
    assert hosting.collection_for(other.public_key) is not None
    listed = hosting.all_keys()
    assert [each.public_key for each in listed if each.revoked_at is not None] == [key.public_key]
    assert len(listed) == 2


@pytest.mark.parametrize("public_key", ["", "unknown", "\0"])
def test_an_unknown_key_opens_nothing(hosting: SqliteHosting, public_key: str) -> None:
    assert not hosting.revoke(public_key)
    assert hosting.collection_for(public_key) is None


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb"])
def test_an_invalid_name_creates_nothing(hosting: SqliteHosting, name: str) -> None:
    with pytest.raises(Refused, match="1 to 100 characters"):
        hosting.add_key(name)
    assert (hosting.all_keys(), hosting.collections()) == ([], [])


def test_another_process_sees_each_change_at_once(hosting: SqliteHosting, data: Path) -> None:
    with closing(SqliteHosting(data, 0.0)) as other:
        key = other.add_key("shop")
        assert hosting.collection_for(key.public_key) is not None
        hosting.revoke(key.public_key)
        assert other.collection_for(key.public_key) is None


def test_only_the_owner_can_read_the_registry(hosting: SqliteHosting, data: Path) -> None:
    hosting.add_key("shop")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()} == {0o600}


def test_a_file_that_is_not_a_registry_is_an_error_that_names_it(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "keys.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(SnoopsyncError, match=r"keys\.sqlite3"):
        SqliteHosting(data, 0.0)


def test_a_key_has_the_label_that_it_was_given(hosting: SqliteHosting) -> None:
    labels = (" studio ", "", None)
    made = [hosting.add_key("shop", label) for label in labels]
    assert [key.label for key in made] == ["studio", None, None]
    assert {key.public_key: key for key in made} == {
        key.public_key: key for key in hosting.all_keys()
    }
    with pytest.raises(Refused, match="label"):
        hosting.add_key("shop", "a\nb")


def test_only_the_latest_use_of_a_key_is_recorded(hosting: SqliteHosting) -> None:
    key = hosting.add_key("shop")
    for at in (5.0, 9.0, 7.0):
        hosting.record_use(key.public_key, at)
    assert [each.last_used_at for each in hosting.all_keys()] == [9.0]


def test_another_master_key_is_refused(hosting: SqliteHosting, data: Path) -> None:
    hosting.require_master_key("one")
    hosting.require_master_key("one")
    with (
        closing(SqliteHosting(data, 0.0)) as other,
        pytest.raises(SnoopsyncError, match="another master key"),
    ):
        other.require_master_key("two")
