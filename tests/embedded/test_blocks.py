"""Searches that were prepared together find what searches one after another find."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from PIL import Image

from snoopsync.core.protocol import SearchByIdAnswer
from snoopsync.embedded import EmbeddedCollection
from snoopsync.embedded.index import Keys
from snoopsync.embedded.version_index import VersionIndex
from tests.embedded.helpers import add
from tests.support.pictures import encode, photo

SIZE = (200, 150)


def flat(grey: int) -> bytes:
    """A picture with so little detail that it has no codes, or weak ones."""
    picture = Image.new("L", SIZE, grey)
    picture.paste(grey + 12, (40, 30, 90, 80))
    return encode(picture.convert("RGB"))


def pictures() -> Iterator[tuple[str, bytes]]:
    for seed in range(4):
        picture = photo(seed, SIZE)
        yield f"{seed}", encode(picture)
        yield f"{seed} mirrored", encode(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
        yield f"{seed} cropped", encode(picture.crop((10, 8, 190, 142)))
        yield f"{seed} rough", encode(picture, quality=20)
    yield "copy", encode(photo(0, SIZE))
    for grey in (0, 60, 120):
        yield f"flat {grey}", flat(grey)


@pytest.fixture
def filled(collection: EmbeddedCollection) -> EmbeddedCollection:
    for name, data in pictures():
        collection.add_image(io.BytesIO(data), name)
    return collection


def searched(collection: EmbeddedCollection, names: list[str]) -> list[SearchByIdAnswer]:
    return [collection.search_images_by_id(name, 20) for name in names]


def test_prepared_searches_have_the_same_answers(filled: EmbeddedCollection) -> None:
    names = [name for name, _ in pictures()]
    one_by_one = searched(filled, names)
    assert sum(len(answer["results"]) for answer in one_by_one) >= 4 * 3
    filled.prepare_searches(names)
    assert searched(filled, names) == one_by_one


def test_a_prepared_search_only_searches_the_codes_that_were_stored_meanwhile(
    filled: EmbeddedCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def near(index: VersionIndex, *_queries: object) -> Keys:
        sizes.append(len(index))
        return np.empty(0, np.int64)

    filled.prepare_searches(["0", "1", "2"])
    monkeypatch.setattr(VersionIndex, "near", near)
    (answer,) = searched(filled, ["1"])
    assert len(answer["results"]) >= 3
    assert sizes == []
    add(filled, "late")
    searched(filled, ["1"])
    assert sizes == [1]


def test_a_prepared_search_finds_what_was_added_meanwhile(filled: EmbeddedCollection) -> None:
    filled.prepare_searches(["0", "1"])
    filled.add_image(io.BytesIO(encode(photo(1, SIZE), quality=40)), "late")
    (answer,) = searched(filled, ["1"])
    assert "late" in [match["id"] for match in answer["results"]]


def test_a_prepared_search_does_not_find_what_was_removed_meanwhile(
    filled: EmbeddedCollection,
) -> None:
    filled.prepare_searches(["1"])
    filled.delete_image("1 rough")
    (answer,) = searched(filled, ["1"])
    found = [match["id"] for match in answer["results"]]
    assert "1 rough" not in found and "1 cropped" in found


def test_a_picture_that_was_replaced_meanwhile_is_searched_for_by_its_new_bytes(
    filled: EmbeddedCollection,
) -> None:
    filled.prepare_searches(["1"])
    filled.add_image(io.BytesIO(encode(photo(2, SIZE), quality=60)), "1", update_existing=True)
    (answer,) = searched(filled, ["1"])
    found = [match["id"] for match in answer["results"]]
    assert "2" in found and "1 rough" not in found


def test_images_that_are_missing_need_no_preparation(collection: EmbeddedCollection) -> None:
    collection.prepare_searches(["unknown"])
    add(collection, "a")
    collection.prepare_searches(["unknown", "a"])
    assert searched(collection, ["a"])[0]["results"] == []


def test_copies_of_the_last_picture_are_not_searched_for_again(
    filled: EmbeddedCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def near_each(_index: VersionIndex, pictures: Sequence[object]) -> list[Keys]:
        sizes.append(len(pictures))
        return []

    searched(filled, ["copy"])
    monkeypatch.setattr(VersionIndex, "near_each", near_each)
    filled.prepare_searches(["0", "copy"])
    assert sizes == [0]
