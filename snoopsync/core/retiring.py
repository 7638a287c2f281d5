"""Advice for giving up a folder, or a disk below a folder, that is gone for good.

``status``, ``check``, ``resync --prune`` and the log use the same words.
"""

from __future__ import annotations

import re

from snoopsync.core.model import printable

#: Characters with a special meaning in a gitignore pattern.
_SPECIAL = re.compile(r"[*?\[\\]")

#: What to do about a folder that is missing for good.
FOLDER_GONE = (
    "if it is gone for good: remove it from the configuration, and snoopsync resync --prune deletes"
    " its images"
)


def disk_gone(directory: bytes) -> str:
    """Why no image of this directory (a path below its folder) is deleted, and what to do if its
    disk is gone for good."""
    return (
        "a disk was mounted or unmounted here, its images are not deleted; if that disk is gone"
        f" for good: add {exclude_pattern(directory)} to the folder's exclude, and snoopsync resync"
        " --prune deletes its images"
    )


def exclude_pattern(directory: bytes) -> str:
    """The gitignore pattern that matches only this directory below a folder, quoted for YAML."""
    escaped = _SPECIAL.sub(r"\\\g<0>", printable(directory))
    return "'/" + escaped.replace("'", "''") + "/'"
