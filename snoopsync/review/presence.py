"""Which files are gone, where no service watches the folders.

The page looks at the files that it showed last, so that a file which is removed elsewhere leaves
the list while the person is looking at it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from snoopsync.core.errors import PictureRefused
from snoopsync.folders.disk import Disk
from snoopsync.review.pictures import KnownPicture, open_folder
from snoopsync.review.source import Source

#: How many files are looked at again and again.
_MOST_WATCHED = 1000


class Presence:
    """Looks for files. For any thread. Beside a service, which knows better, none counts as
    gone."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._watched: dict[str, KnownPicture] = {}

    def gone(self, image_ids: Collection[str]) -> set[str]:
        """The images among these whose files are gone. They are watched from now on."""
        if not image_ids or not self._source.is_alone:
            return set()
        pictures = self._source.pictures(list(image_ids))
        with self._lock:
            for image_id, picture in pictures.items():
                self._watched.pop(image_id, None)
                self._watched[image_id] = picture  # the last one shown is the last one forgotten
            for image_id in list(self._watched)[:-_MOST_WATCHED]:
                del self._watched[image_id]
        return _gone(pictures.values())

    def version(self) -> str:
        """Changes when a file that was shown disappears, or is back."""
        if not self._source.is_alone:
            return ""
        with self._lock:
            watched = list(self._watched.values())
        return ",".join(sorted(_gone(watched)))


def _gone(pictures: Iterable[KnownPicture]) -> set[str]:
    """The images whose files do not exist. A folder that is missing proves nothing."""
    by_folder: dict[bytes, list[KnownPicture]] = {}
    for picture in pictures:
        by_folder.setdefault(picture.root, []).append(picture)
    gone, disk = set(), Disk()
    for in_folder in by_folder.values():
        try:
            with open_folder(in_folder[0]) as root:
                for picture in in_folder:
                    try:
                        disk.lstat(root, picture.path)
                    except (FileNotFoundError, NotADirectoryError):
                        gone.add(picture.image_id)
                    except OSError:
                        continue
        except PictureRefused:
            continue
    return gone
