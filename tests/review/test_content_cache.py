"""What was made from pictures is kept by content: private, within a limit, and never needed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from snoopsync.core.errors import StateError
from snoopsync.review.content_cache import ContentCache

DIRECTORIES = 256
SHA256 = hashlib.sha256(b"a picture").digest()


@pytest.fixture
def cache(tmp_path: Path) -> ContentCache:
    return ContentCache(tmp_path / "cache", DIRECTORIES * 100)


def beside(sha256: bytes, number: int) -> bytes:
    """The SHA-256 of another picture, in the same directory of the cache."""
    return sha256[:1] + hashlib.sha256(b"%d" % number).digest()[1:]


def test_content_is_kept_by_picture_and_name(cache: ContentCache) -> None:
    cache.put(SHA256, "400.webp", b"thumbnail")
    cache.put(SHA256, "metadata", b"facts")
    assert cache.get(SHA256, "400.webp") == b"thumbnail"
    assert cache.get(SHA256, "metadata") == b"facts"
    assert cache.get(beside(SHA256, 1), "400.webp") is None


def test_a_second_cache_in_the_same_directory_has_the_same_content(
    cache: ContentCache, tmp_path: Path
) -> None:
    cache.put(SHA256, "400.webp", b"thumbnail")
    again = ContentCache(tmp_path / "cache", DIRECTORIES * 100)
    assert again.get(SHA256, "400.webp") == b"thumbnail"


def test_the_least_recently_used_files_are_removed_first(
    cache: ContentCache, tmp_path: Path
) -> None:
    first, second, third = SHA256, beside(SHA256, 2), beside(SHA256, 3)
    for moment, sha256 in enumerate((first, second), 1):
        cache.put(sha256, "x", bytes(40))
        [path] = (tmp_path / "cache").rglob(f"{sha256.hex()}-x")
        os.utime(path, (moment, moment))
    assert cache.get(first, "x") is not None
    cache.put(third, "x", bytes(40))
    assert cache.get(second, "x") is None
    assert cache.get(first, "x") is not None


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(StateError):
        ContentCache(tmp_path / "cache", DIRECTORIES * 100)


def test_content_that_cannot_be_written_is_not_kept(cache: ContentCache, tmp_path: Path) -> None:
    (tmp_path / "cache" / SHA256[:1].hex()).write_bytes(b"a file in the place of a directory")
    cache.put(SHA256, "400.webp", b"thumbnail")
    assert cache.get(SHA256, "400.webp") is None
