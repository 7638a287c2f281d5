"""Counts what a folder contains that is not mirrored, by reason and by suffix."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum

from snoopsync.core.model import printable
from snoopsync.core.text import counted

#: How many suffixes ``describe`` names for each reason: the most frequent ones.
_NAMED_SUFFIXES = 5

#: How many suffixes are counted separately for one reason. Further suffixes count under ``""``, so
#: that names like ``page.1``, ``page.2``... do not make the counts as long as the folder.
_MOST_SUFFIXES = 100

_SUFFIX = re.compile(rb"(?s).+(\.[A-Za-z0-9_+-]{1,12})")


class LeftOut(StrEnum):
    """Why a file or a directory is not mirrored. The values are keys of ``status --json``.

    A directory that is not entered counts as one, whatever it contains.
    """

    #: A symbolic link. snoopsync does not follow links.
    SYMLINK = "symlink"
    #: A picture, by its suffix, in a format that snoopsync can't read.
    UNSUPPORTED = "unsupported"
    #: A camera RAW, by its suffix, which needs the extra ``raw``.
    NEEDS_RAW = "needs-raw"
    #: A JPEG XL, by its suffix, which needs the extra ``jxl``.
    NEEDS_JXL = "needs-jxl"
    #: A file without the suffix of a picture.
    OTHER_TYPE = "other-type"
    #: A file that does not match the folder's ``include``.
    NOT_INCLUDED = "not-included"
    #: A picture or a directory that matches the folder's ``exclude``.
    EXCLUDED = "excluded"
    #: A file or a directory of another program, in the default list.
    OTHER_PROGRAM = "other-program"
    #: A FIFO, a socket or a device.
    SPECIAL = "special"
    #: A directory that can't be listed, or an entry that can't be examined.
    UNREADABLE = "unreadable"


#: Files with these reasons are counted by suffix.
_SUFFIXES_MATTER = frozenset(
    {LeftOut.UNSUPPORTED, LeftOut.NEEDS_RAW, LeftOut.OTHER_TYPE, LeftOut.NOT_INCLUDED}
)

#: The extra that would make snoopsync mirror the files with a reason.
EXTRAS = {LeftOut.NEEDS_RAW: "raw", LeftOut.NEEDS_JXL: "jxl"}

#: The reasons in words, for one and for several.
_WORDS = {
    LeftOut.SYMLINK: ("symbolic link", "symbolic links"),
    LeftOut.UNSUPPORTED: ("picture in an unsupported format", "pictures in unsupported formats"),
    LeftOut.NEEDS_RAW: (
        "camera RAW that needs the extra raw",
        "camera RAW files that need the extra raw",
    ),
    LeftOut.NEEDS_JXL: (
        "JPEG XL picture that needs the extra jxl",
        "JPEG XL pictures that need the extra jxl",
    ),
    LeftOut.OTHER_TYPE: ("file of another type", "files of other types"),
    LeftOut.NOT_INCLUDED: ("file that is not included", "files that are not included"),
    LeftOut.EXCLUDED: ("excluded file or directory", "excluded files or directories"),
    LeftOut.OTHER_PROGRAM: (
        "file or directory of another program",
        "files or directories of other programs",
    ),
    LeftOut.SPECIAL: ("special file", "special files"),
    LeftOut.UNREADABLE: ("unreadable file or directory", "unreadable files or directories"),
}

#: Numbers by reason and then by suffix (in lower case, with its dot; ``""`` for none).
LeftOutCounts = dict[str, dict[str, int]]


def count(counts: LeftOutCounts, reason: LeftOut, name: bytes) -> None:
    """Count one file or directory with this name."""
    _add(counts.setdefault(reason, {}), suffix_of(name) if reason in _SUFFIXES_MATTER else "", 1)


def merge(counts: LeftOutCounts, more: Mapping[str, Mapping[str, int]]) -> None:
    """Add ``more`` to ``counts``."""
    for reason, by_suffix in more.items():
        known = counts.setdefault(reason, {})
        for suffix, number in by_suffix.items():
            _add(known, suffix, number)


def _add(by_suffix: dict[str, int], suffix: str, number: int) -> None:
    if suffix not in by_suffix and len(by_suffix) >= _MOST_SUFFIXES:
        suffix = ""
    by_suffix[suffix] = by_suffix.get(suffix, 0) + number


def totals(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The numbers by reason, in the order of ``LeftOut``."""
    return {reason.value: sum(counts[reason].values()) for reason in LeftOut if counts.get(reason)}


def describe(counts: Mapping[str, Mapping[str, int]]) -> str:
    """The counts in words: ``3 symbolic links, 2 files of other types (.md 1, .txt 1)``. Empty if
    nothing is left out."""
    return ", ".join(
        f"{counted(number, *_WORDS[LeftOut(reason)])}{_suffixes(counts[reason])}"
        for reason, number in totals(counts).items()
    )


def _suffixes(by_suffix: Mapping[str, int]) -> str:
    named = sorted((-number, suffix) for suffix, number in by_suffix.items() if suffix)
    if not named:
        return ""
    if len(by_suffix) == 1:
        return f" ({printable(named[0][1])})"
    shown = ", ".join(
        f"{printable(suffix)} {-number}" for number, suffix in named[:_NAMED_SUFFIXES]
    )
    return f" ({shown}, ...)" if len(by_suffix) > len(named[:_NAMED_SUFFIXES]) else f" ({shown})"


def suffix_of(name: bytes) -> str:
    """The name's suffix in lower case; ``""`` if it has none, or an unusual one."""
    found = _SUFFIX.fullmatch(name)
    return found[1].decode().lower() if found else ""


def dump(counts: LeftOutCounts) -> str:
    """The counts as they are stored in the state file."""
    return json.dumps(counts, sort_keys=True)


def load(text: str) -> LeftOutCounts:
    """The counts from the output of ``dump``; empty for any other text."""
    try:
        counts = json.loads(text)
        return {
            str(reason): {str(suffix): int(number) for suffix, number in by_suffix.items()}
            for reason, by_suffix in counts.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}  # the state file is damaged, but the next scan counts again
