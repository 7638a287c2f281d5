"""Measures how many altered copies are found among many photographs, with and without regions.

Each photograph of a folder is altered in some ways, chosen at random, and each copy is searched for
among all of them. Everything runs in this process, so that this takes minutes for a thousand
photographs. The photographs must show different scenes.
"""

from __future__ import annotations

import hashlib
import io
import random
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snoopsync.decoding.decode import features_of
from snoopsync.decoding.features import Features
from snoopsync.embedded.search import SimilaritySearch
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.benchmarks.measuring import percentile, table
from tests.support.alterations import alterations, original
from tests.support.diagrams import DIAGRAMS
from tests.support.photographs import load, of_folder
from tests.support.pictures import encode

_MAX_RANK = 50
_ALTERATIONS_OF_EACH = 6
_DIAGRAMS_OF_EACH = 40

#: Whether a stored picture is found, by its number.
_Found = set[int]


class _Collection:
    """Stored pictures, and the ways to search them. ``milliseconds``: of each search."""

    def __init__(self, folder: Path, files: list[bytes]) -> None:
        self.store = SqliteImageStore(folder / "images.sqlite3", lambda: "benchmark")
        self.milliseconds: list[float] = []
        self._search = SimilaritySearch(self.store)
        for number, data in enumerate(files):
            self.store.add(str(number), _features(data), number + 1)
        self._hashes = [
            (name, limit, make, np.stack([make(data) for data in files]))
            for name, limit, make in _others()
        ]

    def found(self, data: bytes) -> dict[str, _Found]:
        """What each way finds."""
        features = _features(data)
        before = self._numbers(replace(features, regions=b""))
        started = process_time()
        found = {"before": before, "after": self._numbers(features)}
        self.milliseconds.append(1000 * (process_time() - started))
        for name, limit, make, hashes in self._hashes:
            differing = np.bitwise_count(hashes ^ make(data)).sum(axis=1)
            found[name] = set(np.flatnonzero(differing <= limit).tolist())
        return found

    def _numbers(self, features: Features) -> _Found:
        matches = self._search.matches(features)
        return {int(each.stored.image_id) for each in matches if each.score.rank <= _MAX_RANK}


def measure(root: Path, *, photos: Path) -> None:
    """Print recall, false matches and the time of a search."""
    photographs = of_folder(photos)
    files = [original(load(photograph)) for photograph in photographs]
    shares: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    false: dict[str, int] = defaultdict(int)
    every = list(alterations())
    with tempfile.TemporaryDirectory(dir=root) as folder:
        collection = _Collection(Path(folder), files)
        with closing(collection.store):
            for number, (photograph, data) in enumerate(zip(photographs, files, strict=True)):
                picture = Image.open(io.BytesIO(data)).convert("RGB")
                seed = zlib.crc32(photograph.name.encode())
                for each in random.Random(seed).sample(every, _ALTERATIONS_OF_EACH):
                    for way, found in collection.found(each.apply(picture, seed)).items():
                        shares[each.name][way].append(number in found)
                        false[way] += len(found - {number})
    ways = list(false)
    rows = [
        [
            each.name,
            str(len(shares[each.name]["after"])),
            *(f"{100 * np.mean(shares[each.name][way]):.0f}" for way in ways),
        ]
        for each in every
        if each.name in shares
    ]
    table(f"percent found, of {len(files)} photographs", ["", "copies", *ways], rows)
    searches = len(collection.milliseconds)
    print(f"false matches of {searches * (len(files) - 1)} pairs: {dict(false)}")
    print(
        f"a search, ms of a processor: median {percentile(collection.milliseconds, 50):.1f}, "
        f"95 % within {percentile(collection.milliseconds, 95):.1f}"
    )
    _measure_diagrams(root)


def _measure_diagrams(root: Path) -> None:
    """Print the false matches among drawings of one kind, and the re-saved ones that are found."""
    rows = []
    for kind, draw in DIAGRAMS.items():
        drawn = [draw(random.Random(f"{kind} {seed}")) for seed in range(_DIAGRAMS_OF_EACH)]
        false: dict[str, int] = defaultdict(int)
        again: dict[str, int] = defaultdict(int)
        with tempfile.TemporaryDirectory(dir=root) as folder:
            collection = _Collection(Path(folder), [encode(each, "PNG") for each in drawn])
            with closing(collection.store):
                for number, each in enumerate(drawn):
                    half = each.resize((each.width // 2, each.height // 2))
                    for data in (encode(each, quality=80), encode(half, "PNG")):
                        for way, found in collection.found(data).items():
                            again[way] += number in found
                            false[way] += len(found - {number})
        rows.append([kind, *(f"{again[way]} / {false[way]}" for way in again)])
    pairs = 2 * _DIAGRAMS_OF_EACH * (_DIAGRAMS_OF_EACH - 1)
    head = ["", *again]
    table(f"of {2 * _DIAGRAMS_OF_EACH} re-saved drawings / false matches of {pairs}", head, rows)


def _features(data: bytes) -> Features:
    return features_of(io.BytesIO(data), hashlib.sha256(data).digest())


def _others() -> list[tuple[str, int, Callable[[bytes], NDArray[np.uint8]]]]:
    """The hashes of ``imagehash``, if it is installed, with their usual limits in bits."""
    if not find_spec("imagehash"):
        return []
    module = import_module("imagehash")

    def make(name: str, side: int) -> Callable[[bytes], NDArray[np.uint8]]:
        def digest(data: bytes) -> NDArray[np.uint8]:
            with Image.open(io.BytesIO(data)) as image:
                return np.packbits(getattr(module, name)(image, side).hash)

        return digest

    return [
        ("pHash-64 10", 10, make("phash", 8)),
        ("dHash-64 10", 10, make("dhash", 8)),
        ("pHash-256 40", 40, make("phash", 16)),
    ]
