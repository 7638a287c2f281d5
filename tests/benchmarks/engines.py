"""Search engines for similar pictures behind one interface: snoopsync's, and others."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snoopsync.embedded import EmbeddedCollection, open_embedded
from tests.benchmarks.findimagedupes import Fingerprints

#: Makes the hash of a file, eight bits in a byte; ``None`` for a file that cannot be read.
_Digest = Callable[[bytes], NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored picture that a search found: the lower its rank, the more similar. ``kind`` is the
    kind of the match, if the engine knows kinds."""

    image_id: str
    rank: int
    kind: str | None


class SearchEngine(Protocol):
    """Stores pictures, and finds those similar to a picture. A picture is the bytes of a file."""

    def add(self, image_id: str, data: bytes) -> None:
        """Store a picture."""

    def search(self, data: bytes) -> list[Hit]:
        """The stored pictures similar to this one, up to the largest of the contender's limits."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A search engine to measure.

    - ``limits``: the largest ranks of a match to measure; ``usual`` is the one in common use.
    - ``open``: opens an empty engine, which may store files in the given folder.
    - ``prepare``: is called with the files that will be stored or searched for next.
    """

    name: str
    limits: tuple[int, ...]
    usual: int
    open: Callable[[Path], AbstractContextManager[SearchEngine]]
    prepare: Callable[[Sequence[bytes]], None] = lambda files: None


def contenders(filled: Path | None = None) -> Iterator[Contender]:
    """snoopsync first, then those of the others that are installed. ``filled``: the file of a
    collection, of which snoopsync uses a copy instead of an empty one."""
    opened = partial(_open_embedded, filled=filled)
    yield Contender("snoopsync", (31, 50, 60, 75), 50, opened)
    if find_spec("imagehash"):
        yield from _hash_contenders()
    else:
        print("imagehash is not installed and left out")
    if Fingerprints.installed():
        fingerprints = Fingerprints()
        # The default of the program, 90 % equal bits, of 256.
        opened = partial(_open_hashes, digest=fingerprints.digest, max_bits=25)
        yield Contender("findimagedupes", (25,), 25, opened, fingerprints.prepare)
    else:
        print("findimagedupes is not installed and left out")


#: For each hash of imagehash: its method, its side in bits, limits to measure, the usual one.
HASHES: dict[str, tuple[str, int, tuple[int, ...], int]] = {
    "pHash-64": ("phash", 8, (3, 10), 10),
    "dHash-64": ("dhash", 8, (1, 10), 10),
    "pHash-256": ("phash", 16, (40, 69), 40),
    "dHash-256": ("dhash", 16, (14, 40), 40),
}


def hash_digests() -> dict[str, Callable[[bytes], NDArray[np.uint8]]]:
    """For each hash of imagehash, what makes it of a file."""
    return {
        name: partial(_digest, method=method, side=side)
        for name, (method, side, _, _) in HASHES.items()
    }


def _hash_contenders() -> Iterator[Contender]:
    for name, (method, side, limits, usual) in HASHES.items():
        digest = partial(_digest, method=method, side=side)
        opened = partial(_open_hashes, digest=digest, max_bits=max(limits))
        yield Contender(name, limits, usual, opened)


class _EmbeddedEngine:
    def __init__(self, collection: EmbeddedCollection) -> None:
        self._collection = collection

    def add(self, image_id: str, data: bytes) -> None:
        self._collection.add_image(io.BytesIO(data), image_id)

    def search(self, data: bytes) -> list[Hit]:
        found: list[Mapping[str, Any]] = [
            dict(match) for match in self._collection.search_images(io.BytesIO(data))["results"]
        ]
        return [Hit(match["id"], match["rank"], match.get("kind")) for match in found]


@contextmanager
def _open_embedded(folder: Path, filled: Path | None) -> Iterator[SearchEngine]:
    folder.mkdir(parents=True)
    if filled is not None:
        shutil.copy(filled, folder / "collection.db")
    collection = open_embedded(folder / "collection.db")
    try:
        yield _EmbeddedEngine(collection)
    finally:
        collection.close()


class _HashEngine:
    """Hashes in memory: a search compares all of them."""

    def __init__(self, digest: _Digest, max_bits: int) -> None:
        self._digest = digest
        self._max_bits = max_bits
        self._ids: list[str] = []
        self._codes: list[NDArray[np.uint8]] = []

    def add(self, image_id: str, data: bytes) -> None:
        code = self._digest(data)
        if code is not None:
            self._ids.append(image_id)
            self._codes.append(code)

    def search(self, data: bytes) -> list[Hit]:
        code = self._digest(data)
        if code is None or not self._codes:
            return []
        bits = np.bitwise_count(np.array(self._codes) ^ code).sum(axis=1)
        near = np.flatnonzero(bits <= self._max_bits)
        return [Hit(self._ids[at], int(bits[at]), None) for at in near]


@contextmanager
def _open_hashes(_: Path, digest: _Digest, max_bits: int) -> Iterator[SearchEngine]:
    yield _HashEngine(digest, max_bits)


@lru_cache(maxsize=16)  # each copy is searched for and stored
def _digest(data: bytes, method: str, side: int) -> NDArray[np.uint8]:
    bits = getattr(import_module("imagehash"), method)(_decoded(data), hash_size=side).hash
    return np.packbits(bits)


@lru_cache(maxsize=1)
def _decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
