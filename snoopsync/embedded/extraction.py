"""Extracts the features of images that are added and searched for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.protocol import ImageSource
from snoopsync.decoding.features import Features
from snoopsync.decoding.source import PictureFile, read_picture
from snoopsync.runtime.workers import CORES

#: How many pictures the threads of a collection have in memory at the same time: enough that a
#: decoder that is free gets the next one at once.
MOST_PICTURES = min(CORES, 7) + 2

#: The optional libraries that decoding and searching need.
_LIBRARIES = ("numpy", "PIL")


class Extraction:
    """Reads images and extracts their features. Thread-safe."""

    def __init__(self, extract: Callable[[PictureFile], Features] | None) -> None:
        """``extract``: ``None`` for the decoders of this process. Any other function must limit the
        number of pictures itself."""
        self._extract = extract or _extract
        self._pictures: AbstractContextManager[object] = (
            nullcontext() if extract else threading.BoundedSemaphore(MOST_PICTURES)
        )
        self._has_libraries = False

    def features_of(self, image: ImageSource) -> Features:
        """The features of this image. Raises ``Refused``, with the reason, for a picture that
        cannot be decoded, and ``SnoopsyncError`` if a library is not installed."""
        if not self._has_libraries:
            require_libraries()
            self._has_libraries = True
        with self._pictures, read_picture(image) as picture:
            return self._extract(picture)


def _extract(picture: PictureFile) -> Features:
    # Imported late: a resync that finds nothing new decodes nothing.
    from snoopsync.decoding.decoders import shared

    return shared().extract_features(picture)


def require_libraries() -> None:
    """Raises ``SnoopsyncError`` if an optional library is not installed."""
    for name in _LIBRARIES:
        try:
            is_installed = find_spec(name) is not None
        except ValueError:  # an entry in ``sys.modules`` that is not a module
            is_installed = False
        if not is_installed:
            raise SnoopsyncError(
                f"the embedded collection needs {name}: pip install 'snoopsync[embedded]'"
            )
