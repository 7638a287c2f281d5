"""What a search for several pictures together found.

Most of the time of a search in a small index is that of the calls of numpy, and several pictures
share them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from snoopsync.decoding.features import Features
from snoopsync.embedded.index import Keys
from snoopsync.embedded.pairing import ComparablePicture
from snoopsync.embedded.version_index import VersionIndex
from snoopsync.storage.images import ImageStore


class Block:
    """What the search for several pictures together found. Not thread-safe."""

    def __init__(self, index: VersionIndex | None, pictures: Sequence[ComparablePicture]) -> None:
        """Searches ``index`` for these pictures, which must have codes."""
        self._index = index
        self._found: dict[bytes, tuple[ComparablePicture, Keys]] = {}
        if index is not None:
            #: The codes that are stored after this search.
            self._later = index.after()
            for picture, near in zip(pictures, index.near_each(pictures), strict=True):
                self._found[picture.features.sha256] = picture, near

    def comparable(self, features: Features) -> ComparablePicture:
        """The picture with these features, whose codes need not be computed again if this block has
        the picture."""
        picture, _ = self._found.get(features.sha256, (None, None))
        return picture if picture and picture.features == features else ComparablePicture(features)

    def near(self, index: VersionIndex, asked: ComparablePicture, store: ImageStore) -> Keys | None:
        """The marks of the images that are near to this picture, as ``index.near`` would return
        them; ``None`` if they are not known."""
        picture, near = self._found.get(asked.features.sha256, (None, None))
        if near is None or picture is not asked or index is not self._index:
            return None
        self._later.follow(store, store.position())
        if not len(self._later):
            return near
        later = self._later.near(asked.form_codes, asked.queries.variants, asked.radius)
        return np.concatenate([later, near])
