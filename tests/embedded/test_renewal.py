"""Images that an older version has described: searches for them, and their renewal."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import Conflict, NotFound, Refused
from snoopsync.embedded import EmbeddedCollection, open_embedded
from snoopsync.embedded import collection as collection_module
from tests.embedded.conftest import Clock
from tests.embedded.helpers import make_outdated
from tests.support.pictures import encode, photo

SIZE = (240, 180)
ORIGINALS = {f"tests.{seed}": encode(photo(seed, SIZE), quality=90) for seed in range(3)}
COPY = encode(photo(0, SIZE), quality=40)


def put(collection: EmbeddedCollection, image_id: str, data: bytes) -> str:
    exists = image_id in collection.image_ids("", 100).ids()
    answer = collection.add_image(io.BytesIO(data), image_id, update_existing=exists)
    return answer["image_time"]


def renew(collection: EmbeddedCollection, image_id: str) -> str:
    data = ORIGINALS.get(image_id, COPY)
    return collection.renew_image(image_id, io.BytesIO(data))["image_time"]


def found(collection: EmbeddedCollection, image_id: str) -> list[str]:
    return [match["id"] for match in collection.search_images_by_id(image_id)["results"]]


@pytest.fixture
def old(collection: EmbeddedCollection, database: Path) -> EmbeddedCollection:
    """Three pictures and a copy of the first, described by the previous version."""
    for image_id, data in {**ORIGINALS, "tests.copy": COPY}.items():
        put(collection, image_id, data)
    collection.close()
    make_outdated(database)
    return collection


@pytest.fixture
def upgraded(old: EmbeddedCollection, database: Path, clock: Clock) -> Iterator[EmbeddedCollection]:
    """The same collection, opened by this version a day later."""
    clock.advance(86_400)
    with closing(open_embedded(database, name="pictures", now=clock)) as again:
        yield again


def test_an_upgrade_changes_no_id_and_no_time(
    collection: EmbeddedCollection, database: Path
) -> None:
    for image_id, data in ORIGINALS.items():
        put(collection, image_id, data)
    before = collection.get_images()
    collection.close()
    make_outdated(database)
    with closing(open_embedded(database)) as again:
        assert again.get_images() == before
        for image_id in ORIGINALS:
            renew(again, image_id)
        assert again.get_images() == before
        assert again.get_images(start="tests.1", count=1)["next_image_id"] == "tests.0"


def test_images_are_found_among_those_of_their_own_version(upgraded: EmbeddedCollection) -> None:
    assert found(upgraded, "tests.0") == ["tests.copy"]
    put(upgraded, "tests.new", encode(photo(0, SIZE), quality=60))
    assert found(upgraded, "tests.new") == []
    assert found(upgraded, "tests.0") == ["tests.copy"]
    renew(upgraded, "tests.0")
    assert found(upgraded, "tests.new") == ["tests.0"]
    assert found(upgraded, "tests.copy") == []
    renew(upgraded, "tests.copy")
    assert found(upgraded, "tests.0") == ["tests.copy", "tests.new"]


def test_the_same_bytes_are_found_whichever_version_described_them(
    upgraded: EmbeddedCollection,
) -> None:
    put(upgraded, "tests.same", COPY)
    assert found(upgraded, "tests.same") == ["tests.copy"]
    assert found(upgraded, "tests.copy") == ["tests.same", "tests.0"]


def test_answers_are_marked_as_outdated_or_partial(
    upgraded: EmbeddedCollection,
) -> None:
    search = upgraded.search_images_by_id("tests.0")
    assert (search.get("outdated"), search.get("partial")) == (True, None)
    renew(upgraded, "tests.0")
    search = upgraded.search_images_by_id("tests.0")
    assert (search.get("outdated"), search.get("partial")) == (None, True)
    assert upgraded.search_images(io.BytesIO(COPY)).get("partial")
    assert "outdated" not in upgraded.get_image("tests.0")
    assert upgraded.get_image("tests.1").get("outdated")
    for image_id in ("tests.1", "tests.2", "tests.copy"):
        renew(upgraded, image_id)
    assert "partial" not in upgraded.search_images_by_id("tests.0")


def test_describing_an_image_again_keeps_its_time(upgraded: EmbeddedCollection) -> None:
    before = upgraded.get_image("tests.0")["image_time"]
    assert "evidence" not in upgraded.search_images_by_id("tests.copy")["results"][0]
    assert renew(upgraded, "tests.0") == before
    renew(upgraded, "tests.copy")
    [match] = upgraded.search_images_by_id("tests.copy")["results"]
    assert match["evidence"]["jpeg_quality"] == 90
    assert upgraded.count_outdated() == 2


def test_an_update_with_the_same_bytes_renews_the_description_and_keeps_the_time(
    upgraded: EmbeddedCollection,
) -> None:
    before = upgraded.get_image("tests.0")["image_time"]
    assert put(upgraded, "tests.0", ORIGINALS["tests.0"]) == before
    assert "outdated" not in upgraded.get_image("tests.0")
    assert put(upgraded, "tests.1", COPY) > before


def test_only_an_images_own_bytes_can_renew_its_description(upgraded: EmbeddedCollection) -> None:
    with pytest.raises(Conflict, match="other bytes"):
        upgraded.renew_image("tests.0", io.BytesIO(COPY))
    with pytest.raises(NotFound):
        renew(upgraded, "tests.none")
    assert upgraded.count_outdated() == 4


def test_images_that_this_version_described_stay_unchanged(
    collection: EmbeddedCollection,
) -> None:
    time = put(collection, "tests.0", ORIGINALS["tests.0"])
    assert renew(collection, "tests.0") == time
    assert collection.count_outdated() == 0


def test_outdated_images_are_listed_in_pages(
    upgraded: EmbeddedCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_module, "OUTDATED_PAGE", 3)
    page = upgraded.outdated("tests")
    assert (page["total"], page["ids"]) == (4, ["tests.0", "tests.1", "tests.2"])
    # Images that are renewed between two pages do not move the others.
    renew(upgraded, "tests.0")
    page = upgraded.outdated("tests", page["next"])
    assert (page["total"], page["ids"], page["next"]) == (None, ["tests.copy"], None)
    assert upgraded.outdated("tests")["ids"] == ["tests.1", "tests.2", "tests.copy"]


def test_outdated_images_can_be_listed_for_one_owner(upgraded: EmbeddedCollection) -> None:
    assert upgraded.outdated("test")["ids"] == upgraded.outdated("tests.")["ids"] == []
    assert upgraded.outdated("other")["total"] == 0
    assert len(upgraded.outdated()["ids"]) == upgraded.outdated()["total"] == 4


@pytest.mark.parametrize("after", ["", "x:tests.0", "1", "-1:a", "9999999999:a"])
def test_a_next_that_no_page_returned_is_refused(
    collection: EmbeddedCollection, after: str
) -> None:
    with pytest.raises(Refused, match="`next` of the previous page"):
        collection.outdated("tests", after)


def test_codes_of_an_older_version_do_not_stay_in_memory(upgraded: EmbeddedCollection) -> None:
    assert found(upgraded, "tests.0") == ["tests.copy"]
    for image_id in (*ORIGINALS, "tests.copy"):
        renew(upgraded, image_id)
    assert found(upgraded, "tests.0") == ["tests.copy"]
    assert len(upgraded._similarity_search()) == 4


def test_another_process_sees_renewed_descriptions(
    upgraded: EmbeddedCollection, database: Path
) -> None:
    with closing(open_embedded(database)) as other:
        assert found(other, "tests.0") == ["tests.copy"]
        renew(upgraded, "tests.0")
        assert found(other, "tests.copy") == []
        renew(upgraded, "tests.copy")
        assert found(other, "tests.copy") == ["tests.0"]
        assert other.delete_image("tests.0")["status"] == 200
        assert found(upgraded, "tests.copy") == []
