"""Which pictures a search finds, and which it does not."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageOps

from snoopsync.embedded import EmbeddedCollection, open_embedded
from snoopsync.embedded import search as search_module
from snoopsync.embedded.search import SimilaritySearch
from snoopsync.storage.images import Position, StoredCodes
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.decoding.helpers import extract
from tests.support.many_images import add_random_images
from tests.support.pictures import encode, photo

SIZE = (480, 360)
SEEDS = range(6)

#: The largest rank of a duplicate by default.
DUPLICATE = 50

COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG of quality 50": lambda picture: encode(picture, quality=50),
    "JPEG of quality 10": lambda picture: encode(picture, quality=10),
    "half the size": lambda picture: encode(picture.resize((240, 180))),
    "a quarter of the size": lambda picture: encode(picture.resize((120, 90))),
    "stretched": lambda picture: encode(picture.resize((480, 300))),
    "PNG": lambda picture: encode(picture, "PNG", compress_level=1),
    "WebP": lambda picture: encode(picture, "WEBP", quality=60, method=0),
    "GIF": lambda picture: encode(picture, "GIF"),
    "TIFF": lambda picture: encode(picture, "TIFF"),
    "BMP": lambda picture: encode(picture, "BMP"),
    "AVIF": lambda picture: encode(picture, "AVIF", quality=50, speed=10),
    "HEIC": lambda picture: encode(picture, "HEIF", quality=50),
    "grey": lambda picture: encode(picture.convert("L")),
    "turned 90": lambda picture: encode(picture.rotate(90, expand=True)),
    "turned 180": lambda picture: encode(picture.rotate(180)),
    "turned 270": lambda picture: encode(picture.rotate(270, expand=True)),
    "mirrored": lambda picture: encode(ImageOps.mirror(picture)),
    "upside down": lambda picture: encode(ImageOps.flip(picture)),
    "white frame": lambda picture: encode(ImageOps.expand(picture, 24, "white"), quality=50),
    "black frame": lambda picture: encode(ImageOps.expand(picture, 48, "black")),
    "letterbox": lambda picture: encode(ImageOps.expand(picture, (0, 80), "black")),
    "frame, turned, half the size": lambda picture: encode(
        ImageOps.expand(picture, 24, "white").rotate(90, expand=True).resize((204, 264))
    ),
}


@pytest.mark.parametrize("altered", COPIES.values(), ids=list(COPIES))
def test_a_copy_is_found_and_nothing_else(
    collection: EmbeddedCollection, altered: Callable[[Image.Image], bytes]
) -> None:
    for seed in SEEDS:
        collection.add_image(io.BytesIO(encode(photo(seed, SIZE))), f"{seed}")
    for seed in SEEDS:
        copy = altered(photo(seed, SIZE))
        (match,) = collection.search_images(io.BytesIO(copy))["results"]
        assert match["id"] == f"{seed}"
        assert match["rank"] <= DUPLICATE


@pytest.mark.parametrize("altered", COPIES.values(), ids=list(COPIES))
def test_the_original_is_found_by_the_id_of_its_copy(
    collection: EmbeddedCollection, altered: Callable[[Image.Image], bytes]
) -> None:
    collection.add_image(io.BytesIO(altered(photo(1, SIZE))), "copy")
    for seed in SEEDS:
        collection.add_image(io.BytesIO(encode(photo(seed, SIZE))), f"{seed}")
    (match,) = collection.search_images_by_id("copy")["results"]
    assert match["id"] == "1"
    assert match["rank"] <= DUPLICATE


@pytest.mark.parametrize("count", [10, 60_000])
def test_crops_captions_and_rotations_are_found_in_collections_of_any_size(
    database: Path, count: int
) -> None:
    picture = photo(1, SIZE)
    alterations = {
        "cropped by 5 %": picture.crop((0, 18, 456, 360)),
        "cropped by 10 %": picture.crop((48, 18, 480, 342)),
        "caption below": ImageOps.pad(picture, (480, 405), color="white", centering=(0, 0)),
        "rotated by 3 degrees": picture.rotate(3, Image.Resampling.BICUBIC),
    }
    database.parent.mkdir()
    add_random_images(database, count)
    with closing(open_embedded(database)) as collection:
        collection.add_image(io.BytesIO(encode(picture)), "original")
        for name, altered in alterations.items():
            results = collection.search_images(io.BytesIO(encode(altered)))["results"]
            assert [match["id"] for match in results] == ["original"], name
            assert results[0]["rank"] <= DUPLICATE


@pytest.mark.parametrize("colour", ["white", "black"])
def test_a_framed_original_is_found_by_its_copy_without_the_frame(
    collection: EmbeddedCollection, colour: str
) -> None:
    framed = ImageOps.expand(photo(1, SIZE), 48, colour)
    collection.add_image(io.BytesIO(encode(framed)), "framed")
    copy = encode(photo(1, SIZE).rotate(90, expand=True), quality=60)
    (match,) = collection.search_images(io.BytesIO(copy))["results"]
    assert match["rank"] <= DUPLICATE


def test_codes_of_removed_images_do_not_stay_in_memory(database: Path) -> None:
    store, other = (SqliteImageStore(database, lambda: "collection") for _ in range(2))
    search = SimilaritySearch(store)
    old, new = (extract(encode(photo(seed))) for seed in (1, 2))
    try:
        for number in range(4):
            store.add(f"{number}", old, number)
        assert len(search.matches(old)) == len(search) == 4
        search.forget(store.remove("0").moment)
        assert len(search) == 3
        # No process tells another about its changes: the next search finds the outdated codes.
        other.remove("1")
        other.replace("2", new, 0)
        assert [each.stored.image_id for each in search.matches(old)] == ["3"]
        assert len(search) == 2
    finally:
        store.close()
        other.close()


def test_codes_of_images_that_others_removed_leave_when_they_outnumber_the_rest(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module, "_FEWEST_CHANGES", 5)
    store, other = (SqliteImageStore(database, lambda: "collection") for _ in range(2))
    search = SimilaritySearch(store)
    pictures = [extract(encode(photo(seed))) for seed in range(12)]
    try:
        for number, picture in enumerate(pictures):
            store.add(f"{number}", picture, number)
        search.load()
        assert len(search) == 12
        for number in range(8):
            other.remove(f"{number}")
        search.load()
        assert len(search) == 12
        for number in range(8, 11):
            other.remove(f"{number}")
        other.add("new", pictures[0], 99)
        other.remove("new")
        search.load()
        assert len(search) == 1
        assert [each.stored.image_id for each in search.matches(pictures[11])] == ["11"]
    finally:
        store.close()
        other.close()


class Counting(SqliteImageStore):
    """A store that counts how often its codes are read."""

    reads = 0

    def codes_after(self, mark: int, version: int) -> Iterator[StoredCodes]:
        self.reads += 1
        return super().codes_after(mark, version)


def test_codes_are_read_only_if_something_has_changed(database: Path) -> None:
    store = Counting(database, lambda: "collection")
    try:
        search = SimilaritySearch(store)
        for number in range(2):
            store.add(f"{number}", extract(encode(photo(number))), number)
            for _ in range(3):
                assert len(search.matches(extract(encode(photo(number), quality=40)))) == 1
            assert store.reads == number + 1
    finally:
        store.close()


class Rewound(SqliteImageStore):
    """A store whose database has another history since ``history`` was changed."""

    history = "1"

    def position(self) -> Position:
        return replace(super().position(), history=self.history)


def test_codes_are_read_again_when_the_database_has_another_history(database: Path) -> None:
    store = Rewound(database, lambda: "collection")
    search = SimilaritySearch(store)
    try:
        store.add("a", extract(encode(photo(1))), 1)
        search.load()
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE image SET moment = 0")  # what a restored backup may have
            connection.execute("UPDATE small SET moment = 0")
        assert search.matches(extract(encode(photo(1), quality=40))) == []
        store.history = "2"
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE image SET moment = 1")
            connection.execute("UPDATE small SET moment = 1")
        assert len(search.matches(extract(encode(photo(1), quality=40)))) == 1
    finally:
        store.close()


def test_a_new_image_is_not_taken_for_one_that_the_database_has_lost(database: Path) -> None:
    """Both have the same mark if the clock of the lost database was ahead."""
    with closing(Rewound(database, lambda: "collection")) as store:
        search = SimilaritySearch(store)
        lost = store.add("lost", extract(encode(photo(1))), 1)
        assert len(search.matches(extract(encode(photo(1), quality=40)))) == 1
        store.history = "2"
        with closing(sqlite3.connect(database)) as connection, connection:
            for change in (
                "DELETE FROM image",
                "DELETE FROM small",
                "UPDATE collection SET moment = 0",
            ):
                connection.execute(change)
        new = store.add("new", extract(encode(photo(2))), 1)
        assert new.mark == lost.mark
        [match] = search.matches(extract(encode(photo(2), quality=40)))
        assert match.stored == new


def test_a_search_by_id_finds_the_same_as_a_search_by_the_bytes(
    collection: EmbeddedCollection,
) -> None:
    turned = encode(ImageOps.expand(photo(1, SIZE), 24, "white").rotate(90, expand=True))
    collection.add_image(io.BytesIO(encode(photo(1, SIZE), quality=30)), "rough")
    collection.add_image(io.BytesIO(encode(photo(1, SIZE).resize((160, 120)))), "small")
    collection.add_image(io.BytesIO(turned), "turned")
    by_bytes = collection.search_images(io.BytesIO(turned))["results"]
    assert by_bytes[0]["id"] == "turned"
    assert collection.search_images_by_id("turned")["results"] == by_bytes[1:]


def test_results_are_sorted_by_rank_and_then_by_id(collection: EmbeddedCollection) -> None:
    picture = photo(1, SIZE)
    for image_id in ("c", "b"):
        collection.add_image(io.BytesIO(encode(picture, "PNG")), image_id)
    collection.add_image(io.BytesIO(encode(picture.resize((100, 80)), quality=20)), "a")
    results = collection.search_images(io.BytesIO(encode(picture, "PNG")))["results"]
    assert [match["id"] for match in results] == ["b", "c", "a"]
    assert [match["rank"] for match in results][:2] == [0, 0]
    assert results[2]["rank"] >= 1


def test_the_same_pixels_in_other_bytes_have_rank_0(
    collection: EmbeddedCollection,
) -> None:
    collection.add_image(io.BytesIO(encode(photo(1), "PNG")), "png")
    (match,) = collection.search_images(io.BytesIO(encode(photo(1), "BMP")))["results"]
    assert (match["id"], match["rank"]) == ("png", 0)


def test_a_picture_in_another_size_never_has_rank_0(collection: EmbeddedCollection) -> None:
    collection.add_image(io.BytesIO(encode(photo(1, (256, 256)), "PNG")), "large")
    doubled = photo(1, (256, 256)).resize((512, 512), Image.Resampling.NEAREST)
    (match,) = collection.search_images(io.BytesIO(encode(doubled, "PNG")))["results"]
    assert match["rank"] >= 1


def flat(shade: int) -> Image.Image:
    return Image.new("RGB", (300, 200), (shade, shade, shade))


def slide(text: str) -> Image.Image:
    page = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(page)
    for line in range(4):
        draw.text((60, 60 + 40 * line), f"{text} {line}", fill="black")
    return page


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        (flat(255), flat(250)),
        (flat(255), flat(0)),
        (slide("apples"), slide("pears")),
        (slide("apples"), flat(255)),
        (Image.linear_gradient("L"), ImageOps.invert(Image.linear_gradient("L"))),
    ],
    ids=["whites", "black and white", "slides", "slide and blank", "gradients"],
)
def test_different_flat_pictures_do_not_match(
    collection: EmbeddedCollection, stored: Image.Image, asked: Image.Image
) -> None:
    collection.add_image(io.BytesIO(encode(stored, "PNG")), "flat")
    assert collection.search_images(io.BytesIO(encode(asked, "PNG")))["results"] == []


@pytest.mark.parametrize("picture", [flat(255), slide("apples")], ids=["blank", "slide"])
def test_a_flat_picture_is_found_by_the_same_picture(
    collection: EmbeddedCollection, picture: Image.Image
) -> None:
    collection.add_image(io.BytesIO(encode(picture, "PNG")), "flat")
    for kind in ("PNG", "BMP"):
        (match,) = collection.search_images(io.BytesIO(encode(picture, kind)))["results"]
        assert match["rank"] == 0


def test_flat_pictures_in_equal_frames_do_not_match(
    collection: EmbeddedCollection,
) -> None:
    for number, colour in enumerate(("red", "#777777")):
        framed = ImageOps.expand(Image.new("RGB", (260, 260), colour), 20, "black")
        collection.add_image(io.BytesIO(encode(framed, "PNG")), f"{number}")
    assert collection.search_images_by_id("0")["results"] == []


def test_the_size_of_the_index_is_known_during_a_search(collection: EmbeddedCollection) -> None:
    assert collection.index_size() == (0, 0)
    collection.add_image(encode(photo(1)), "a")
    collection.load_index()
    codes, size_bytes = collection.index_size()
    assert codes == 1
    assert size_bytes > 32
    search = collection._similarity_search()
    with search._lock:  # as a search has it
        assert collection.index_size() == (codes, size_bytes)
