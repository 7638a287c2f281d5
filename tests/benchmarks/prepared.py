"""A hundred thousand mirrored files without decoding as many pictures.

The files are a few bytes with a picture's name. That they have been sent and confirmed is written
into the state file and the embedded collection by snoopsync's own ``State`` and ``Store``, in bulk.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from snoopsync.core.duplicates import Findings
from snoopsync.core.model import File, Fingerprint, RelPath, image_ids
from snoopsync.core.planner import Add
from snoopsync.core.selection import Selection
from snoopsync.decoding.features import CODE_BYTES, Features, Thumbnail
from snoopsync.folders.folder import Folder
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.searches import Due, Searches, SearchResult
from snoopsync.storage.sqlite.images import SqliteImageStore
from tests.benchmarks.installation import Installation

_FORMS = 8
_TRIMMED_SHARE = 0.1
_SHA256_BYTES = 32
_DIGEST_BYTES = 16
_GREY_BYTES, _COLOUR_BYTES = 64 * 64, 8 * 8 * 2

#: Here a durable commit costs nothing, and the result is copied to where it belongs.
_MEMORY = Path("/dev/shm")


def make_tree(folder: Path, files: int, directories: int) -> None:
    """Small files with a picture's name, evenly over this many directories."""
    each = files // directories
    for number in range(directories):
        directory = folder / f"{number // 100:03d}" / f"album {number:05d}"
        directory.mkdir(parents=True)
        for name in range(each):
            (directory / f"IMG_{number:05d}_{name:04d}.jpg").write_bytes(b"%d" % name)


def confirm_everything(installation: Installation) -> None:
    """Make it known that every file of the folder was sent, confirmed and searched for. One real
    resync then does what is left, and finds nothing to send."""
    installation.write()
    owner = installation.owner
    adds = [
        Add(rel_path, next(image_ids(owner, rel_path)), File(Fingerprint(*key)))
        for rel_path, key in _listed(installation.folder)
    ]
    dice = random.Random(1)
    now = time.time()
    with closing(Database(installation.state)) as database:
        state, searches = State(database), Searches(database)
        with state.transaction():
            state.intents.apply(adds, now)
            for add in adds:
                sha256 = dice.randbytes(_SHA256_BYTES)
                state.intents.confirm(Sent(add.image_id, 1, sha256, None), now)
                searches.record([SearchResult(Due(add.image_id, sha256), Findings(), now)])
    fill_collection(installation.collection, [add.image_id for add in adds], dice)


def fill_collection(path: Path, image_ids: list[str], dice: random.Random) -> None:
    """Make an embedded collection that holds these images, with random codes."""
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as scratch:
        database = Path(scratch) / path.name
        with closing(SqliteImageStore(database, lambda: "benchmark")) as store:
            for moment, image_id in enumerate(image_ids, 1):
                store.add(image_id, _features(dice), moment)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(database, path)


def _listed(root: Path) -> Iterator[tuple[RelPath, tuple[int, int, int, int]]]:
    folder = Folder("photos", os.fsencode(root), Selection(None, ()))
    waiting = [b""]
    while waiting:
        directory = waiting.pop()
        listing = folder.list_directory(directory)
        waiting.extend(listing.directories)
        for name, key in listing.files.items():
            yield folder.rel_path(directory + b"/" + name if directory else name), key


def _features(dice: random.Random) -> Features:
    trimmed = _FORMS if dice.random() < _TRIMMED_SHARE else 0
    return Features(
        sha256=dice.randbytes(_SHA256_BYTES),
        size_bytes=100_000,
        kind="JPEG",
        width=640,
        height=480,
        digest=dice.randbytes(_DIGEST_BYTES),
        quality=80,
        codes=dice.randbytes(_FORMS * CODE_BYTES),
        trimmed=dice.randbytes(trimmed * CODE_BYTES),
        thumbnail=Thumbnail(dice.randbytes(_GREY_BYTES), dice.randbytes(_COLOUR_BYTES)),
    )
