"""Searches for like pictures, under one interface: snoopsync's, and others to compare with."""

from __future__ import annotations

import io
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

from snoopsync.embedded import EmbeddedCollection
from tests.benchmarks.findimagedupes import Fingerprints

#: Bits of a file, eight in a byte; ``None`` of one that can't be read.
_Digest = Callable[[bytes], NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored picture that was found: the lower its rank, the more alike. ``kind`` is what it is
    said to be of the other one, if the eye says so."""

    image_id: str
    rank: int
    kind: str | None


class Eye(Protocol):
    """Pictures as files' bytes, and those of them that are like one."""

    def add(self, image_id: str, data: bytes) -> None:
        """Store a picture."""

    def search(self, data: bytes) -> list[Hit]:
        """Stored pictures like this one, up to the rank that can still be meant."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An eye to be measured. ``opened`` gives an empty one, which lives in the folder; ``limits``
    are the ranks up to which a hit is taken for a match, in turn, and ``usual`` the one of them
    that people use. ``foresee`` is told of the files that come next."""

    name: str
    limits: tuple[int, ...]
    usual: int
    opened: Callable[[Path], AbstractContextManager[Eye]]
    foresee: Callable[[Sequence[bytes]], None] = lambda files: None


def candidates() -> Iterator[Candidate]:
    """snoopsync first, then those of the others that are installed."""
    yield Candidate("snoopsync", (31, 50, 60, 75), 50, _embedded)
    if find_spec("imagehash"):
        yield from _hashes()
    else:
        print("imagehash is not installed: not compared with")
    if Fingerprints.installed():
        taken = Fingerprints()
        # Its 90 % of 256 bits.
        opened = partial(_hashing, digest=taken.digest, most=25)
        yield Candidate("findimagedupes", (25,), 25, opened, taken.foresee)
    else:
        print("findimagedupes is not installed: not compared with")


def _hashes() -> Iterator[Candidate]:
    for name, method, side, limits, usual in (
        ("pHash-64", "phash", 8, (3, 10), 10),
        ("dHash-64", "dhash", 8, (1, 10), 10),
        ("pHash-256", "phash", 16, (40, 69), 40),
        ("dHash-256", "dhash", 16, (14, 40), 40),
    ):
        digest = partial(_digest, method=method, side=side)
        yield Candidate(name, limits, usual, partial(_hashing, digest=digest, most=max(limits)))


class _Embedded:
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
def _embedded(folder: Path) -> Iterator[Eye]:
    folder.mkdir(parents=True)
    collection = EmbeddedCollection(folder / "collection.db")
    try:
        yield _Embedded(collection)
    finally:
        collection.close()


class _Hashing:
    """Hashes in memory, each compared with all."""

    def __init__(self, digest: _Digest, most: int) -> None:
        self._digest = digest
        self._most = most
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
        near = np.flatnonzero(bits <= self._most)
        return [Hit(self._ids[at], int(bits[at]), None) for at in near]


@contextmanager
def _hashing(_: Path, digest: _Digest, most: int) -> Iterator[Eye]:
    yield _Hashing(digest, most)


@lru_cache(maxsize=16)  # a copy is searched for, and stored: hashed once
def _digest(data: bytes, method: str, side: int) -> NDArray[np.uint8]:
    bits = getattr(import_module("imagehash"), method)(_decoded(data), hash_size=side).hash
    return np.packbits(bits)


@lru_cache(maxsize=1)
def _decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
