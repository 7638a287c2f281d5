"""Pictures in a folder of a test, as the state file would know them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from snoopsync.config.settings import FolderConfig
from snoopsync.core.model import Fingerprint
from snoopsync.folders.configured import identity_of
from snoopsync.review.pictures import KnownPicture


def known(folder: Path, name: str | bytes, image_id: str = "test.a") -> KnownPicture:
    """The picture at this path below the folder, as it is now."""
    path = os.fsencode(name)
    file = Path(os.fsdecode(os.fsencode(folder) + b"/" + path))
    return KnownPicture(
        image_id,
        os.fsencode(folder),
        identity_of(FolderConfig("photos", folder)),
        path,
        Fingerprint.of(file.lstat()),
        hashlib.sha256(file.read_bytes()).digest(),
    )
