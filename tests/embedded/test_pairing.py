"""The rank and the kind of a pair do not depend on which of the two is searched for."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from snoopsync.embedded import EmbeddedCollection
from tests.support.alterations import Alteration, alterations, original
from tests.support.pictures import encode, photo

SIZE = (480, 360)


def ranks(collection: EmbeddedCollection, image_id: str) -> dict[str, tuple[int, str | None]]:
    results = collection.search_images_by_id(image_id)["results"]
    return {match["id"]: (match["rank"], match.get("kind")) for match in results}


@pytest.mark.parametrize("alteration", list(alterations()), ids=lambda each: each.name)
def test_a_pair_has_the_same_rank_and_kind_in_both_directions(
    collection: EmbeddedCollection, alteration: Alteration
) -> None:
    for seed in range(3):
        picture = photo(seed, SIZE)
        # Both orders of the IDs.
        ids = random.Random(f"{alteration.name} {seed}").sample(["a", "z"], 2)
        for image_id, data in zip(
            ids, (original(picture), alteration.apply(picture, seed)), strict=True
        ):
            collection.add_image(io.BytesIO(data), image_id)
        one, other = (ranks(collection, image_id) for image_id in ids)
        if one and other:
            assert one[ids[1]] == other[ids[0]]
        by_bytes = collection.search_images(io.BytesIO(original(picture)))["results"]
        same_way = {match["id"]: (match["rank"], match.get("kind")) for match in by_bytes}
        assert same_way.get(ids[1]) == one.get(ids[1])
        for image_id in ids:
            collection.delete_image(image_id)


def test_ranks_do_not_depend_on_ids(collection: EmbeddedCollection) -> None:
    pictures = [encode(photo(1, SIZE)), encode(photo(1, SIZE).rotate(1))]
    found = []
    for names in (("a", "b"), ("b", "a")):
        for image_id, data in zip(names, pictures, strict=True):
            collection.add_image(io.BytesIO(data), image_id)
        found.append(ranks(collection, names[0])[names[1]])
        for image_id in names:
            collection.delete_image(image_id)
    assert found[0] == found[1]


def test_nearly_empty_pictures_do_not_match(collection: EmbeddedCollection) -> None:
    for shade in (40, 200):
        collection.add_image(io.BytesIO(encode(Image.new("L", SIZE, shade), "PNG")), f"{shade}")
    assert ranks(collection, "40") == {}
