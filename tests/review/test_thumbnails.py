"""Thumbnails: what is shown of a file, and what is kept on disk."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from snoopsync.core.errors import PictureRefused, StateError
from snoopsync.decoding.decoders import Renderers
from snoopsync.decoding.layout import Metadata
from snoopsync.review.pictures import KnownPicture
from snoopsync.review.thumbnails import Thumbnails
from tests.review.known import known
from tests.support.pictures import encode, photo

LIMIT_BYTES = 256 << 20

Write = Callable[[str, bytes], KnownPicture]


@pytest.fixture(scope="module")
def renderers() -> Iterator[Renderers]:
    with closing(Renderers(1)) as renderers:
        yield renderers


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache/thumbnails"


@pytest.fixture
def thumbnails(cache: Path, renderers: Renderers) -> Thumbnails:
    return Thumbnails(cache, LIMIT_BYTES, renderers)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    folder = tmp_path / "photos"
    folder.mkdir()

    def write(name: str, content: bytes) -> KnownPicture:
        (folder / name).write_bytes(content)
        return known(folder, name)

    return write


def kept(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


def test_a_thumbnail_is_small_and_shows_the_picture(thumbnails: Thumbnails, write: Write) -> None:
    image = Image.open(io.BytesIO(thumbnails.get(write("a.jpg", encode(photo(1, (800, 600)))))))
    assert (image.format, image.size) == ("JPEG", (400, 300))
    expected = photo(1, (800, 600)).resize((8, 6)).tobytes()
    found = image.resize((8, 6)).tobytes()
    assert max(abs(one - other) for one, other in zip(expected, found, strict=True)) < 30


def test_a_transparent_picture_stays_transparent(thumbnails: Thumbnails, write: Write) -> None:
    content = encode(Image.new("RGBA", (500, 500), (255, 0, 0, 100)), "PNG")
    image = Image.open(io.BytesIO(thumbnails.get(write("a.png", content))))
    assert (image.format, image.mode) == ("WEBP", "RGBA")


def test_a_thumbnail_is_kept_by_its_content(
    thumbnails: Thumbnails, write: Write, cache: Path
) -> None:
    first = thumbnails.get(write("a.jpg", encode(photo(1))))
    copy = write("b.jpg", encode(photo(1)))
    (path,) = kept(cache)
    path.write_bytes(b"as kept")
    assert thumbnails.get(copy) == b"as kept" != first
    assert len(kept(cache)) == 1


def test_nobody_else_can_read_what_is_kept(
    thumbnails: Thumbnails, write: Write, cache: Path
) -> None:
    before = os.umask(0)
    try:
        thumbnails.get(write("a.jpg", encode(photo(1))))
    finally:
        os.umask(before)
    (path,) = kept(cache)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_can_write_to_is_refused(cache: Path, renderers: Renderers) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    with pytest.raises(StateError):
        Thumbnails(cache, LIMIT_BYTES, renderers)


def test_the_least_recently_used_thumbnails_are_removed_first(
    cache: Path, renderers: Renderers, write: Write
) -> None:
    """A thumbnail that was just used is the newest."""
    picture = write("a.jpg", encode(photo(1)))
    thumbnails = Thumbnails(cache, LIMIT_BYTES, renderers)
    size_bytes = len(thumbnails.get(picture))
    (path,) = kept(cache)
    old, older = path.with_name("old"), path.with_name(".killed while it was written")
    for number, each in enumerate((older, path, old)):
        each.write_bytes(bytes(size_bytes))
        os.utime(each, (number, number))
    thumbnails.get(picture)
    # Another picture in the same directory makes room for itself.
    full = Thumbnails(cache, 256 * 2 * size_bytes, renderers)
    path.rename(path.with_name("in use"))
    full.get(picture)
    assert {each.name for each in kept(cache)} == {"in use", path.name}


def test_other_bytes_than_those_that_were_compared_are_not_shown(
    thumbnails: Thumbnails, write: Write
) -> None:
    before = write("a.jpg", encode(photo(1)))
    write("a.jpg", encode(photo(2)))
    for show in (thumbnails.get, thumbnails.full_size):
        with pytest.raises(PictureRefused, match="has changed"):
            show(before)
        with pytest.raises(PictureRefused, match="has changed"):
            show(replace(before, sha256=None))


def test_a_picture_that_was_never_compared_is_shown(thumbnails: Thumbnails, write: Write) -> None:
    picture = write("a.jpg", encode(photo(1)))
    assert thumbnails.get(replace(picture, sha256=None)) == thumbnails.get(picture)
    assert thumbnails.get(replace(picture, sha256=b"")) == thumbnails.get(picture)


def test_a_damaged_picture_is_refused_with_its_reason(
    thumbnails: Thumbnails, write: Write, cache: Path
) -> None:
    picture = write("a.jpg", encode(photo(1))[:2000])
    with pytest.raises(PictureRefused, match="truncated"):
        thumbnails.get(picture)
    assert not kept(cache)


def test_a_cache_that_cannot_be_written_stops_nothing(
    thumbnails: Thumbnails, write: Write, cache: Path
) -> None:
    cache.rmdir()
    cache.write_bytes(b"")
    assert thumbnails.get(write("a.jpg", encode(photo(1))))


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "HEIF"])
def test_what_no_browser_shows_is_encoded_in_full(
    thumbnails: Thumbnails, write: Write, kind: str
) -> None:
    image = photo(1, (640, 480))
    shown = Image.open(io.BytesIO(thumbnails.full_size(write("a", encode(image, kind)))))
    assert (shown.format, shown.size) == ("JPEG", (640, 480))


def test_what_the_file_says_is_kept(thumbnails: Thumbnails, write: Write, cache: Path) -> None:
    picture = write("a.jpg", encode(photo(1)))
    assert thumbnails.metadata(picture) == Metadata("JPEG", "", "")
    (path,) = kept(cache)
    path.write_text('["TIFF", "as kept", ""]')
    assert thumbnails.metadata(picture) == Metadata("TIFF", "as kept", "")
    with pytest.raises(PictureRefused):
        thumbnails.metadata(write("b.jpg", b"no picture"))
