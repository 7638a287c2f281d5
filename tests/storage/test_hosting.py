"""What every engine does with collections and keys."""

from __future__ import annotations

from contextlib import closing

import pytest

from snoopsync.core.errors import Refused
from snoopsync.storage.hosting import Hosting
from snoopsync.storage.sqlite.registry import SqliteHosting
from tests.storage.conftest import Engine


def test_keys_of_one_name_open_one_collection(hosting: Hosting) -> None:
    one, two, other = (hosting.add_key(name) for name in ("shop", " shop ", "other"))
    assert hosting.collection_for(one.public_key) == hosting.collection_for(two.public_key)
    assert hosting.collection_for(one.public_key) != hosting.collection_for(other.public_key)
    assert [each.name for each in hosting.collections()] == ["other", "shop"]
    assert len({each.collection_id for each in hosting.collections()}) == 2


def test_a_revoked_key_opens_nothing_and_stays_listed(hosting: Hosting) -> None:
    key, other = hosting.add_key("shop"), hosting.add_key("shop")
    assert hosting.revoke(key.public_key)
    assert not hosting.revoke(key.public_key)
    assert hosting.collection_for(key.public_key) is None
    assert hosting.collection_for(other.public_key) is not None
    listed = hosting.all_keys()
    assert [each.public_key for each in listed if each.revoked_at is not None] == [key.public_key]
    assert len(listed) == 2


@pytest.mark.parametrize("public_key", ["", "unknown", "\0"])
def test_an_unknown_key_opens_nothing(hosting: Hosting, public_key: str) -> None:
    assert not hosting.revoke(public_key)
    assert hosting.collection_for(public_key) is None


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb"])
def test_an_invalid_name_creates_nothing(hosting: Hosting, name: str) -> None:
    with pytest.raises(Refused, match="1 to 100 characters"):
        hosting.add_key(name)
    assert (hosting.all_keys(), hosting.collections()) == ([], [])


def test_collections_are_in_the_order_of_the_bytes_of_their_names(hosting: Hosting) -> None:
    for name in ("b", "Ä", "a", "B", "_"):
        hosting.add_key(name)
    assert [each.name for each in hosting.collections()] == ["B", "_", "a", "b", "Ä"]


def test_another_process_sees_each_change_at_once(hosting: Hosting, engine: Engine) -> None:
    with closing(engine.open()) as other:
        key = other.add_key("shop")
        assert hosting.collection_for(key.public_key) is not None
        hosting.revoke(key.public_key)
        assert other.collection_for(key.public_key) is None


def test_a_key_has_the_label_that_it_was_given(hosting: Hosting) -> None:
    labels = (" studio ", "", None)
    made = [hosting.add_key("shop", label) for label in labels]
    assert [key.label for key in made] == ["studio", None, None]
    assert {key.public_key: key for key in made} == {
        key.public_key: key for key in hosting.all_keys()
    }
    with pytest.raises(Refused, match="label"):
        hosting.add_key("shop", "a\nb")


def test_only_the_latest_use_of_a_key_is_recorded(hosting: Hosting) -> None:
    key = hosting.add_key("shop")
    for at in (5.0, 9.0, 7.0):
        hosting.record_use(key.public_key, at)
    assert [each.last_used_at for each in hosting.all_keys()] == [9.0]


def test_the_fingerprint_of_the_first_master_key_stays(hosting: Hosting, engine: Engine) -> None:
    assert hosting.record_master_key("one") == "one"
    with closing(engine.open()) as other:
        assert other.record_master_key("two") == "one"
    assert hosting.master_key_fingerprint() == "one"


def test_only_an_engine_with_a_pool_has_figures_of_it(hosting: Hosting) -> None:
    hosting.add_key("shop")
    figures = hosting.pool_statistics()
    if isinstance(hosting, SqliteHosting):
        assert figures is None
    else:
        assert figures is not None
        assert 1 <= figures.size <= figures.most
        assert 0 <= figures.in_use <= figures.size
        assert (figures.waiting, figures.failed) == (0, 0)
