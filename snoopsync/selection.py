"""Which files of a folder are mirrored: gitignore patterns, asked for a directory at a time.

The patterns are those of https://git-scm.com/docs/gitignore. ``exclude`` is read just as git does:
what is in an excluded directory stays excluded, whatever a later ``!pattern`` says. ``include`` is
read for each file alone, so ``["2024/", "!*.gif"]`` is 2024 without its GIFs.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence

from pathspec import GitIgnoreSpec

#: The image suffixes that the embedded collection can decode; in any case: ``.jpg``, ``.JPG``.
SUPPORTED_SUFFIXES = tuple(
    b".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .avif .heic .heif".split()
)

_SUPPORTED = frozenset(SUPPORTED_SUFFIXES)
_AS_USUAL = (*SUPPORTED_SUFFIXES, *(suffix.upper() for suffix in SUPPORTED_SUFFIXES))
_ANY_NAME_ENDING_SO = re.compile(r"\*(\.[\w.-]+)")


class Selection:
    """The files that a folder's ``include`` and ``exclude`` leave.

    ``include`` is ``None`` for the supported image suffixes. Paths are below the folder, without a
    slash at either end; ``b""`` is the folder itself. Raises ``ValueError`` for a pattern that
    means nothing.
    """

    def __init__(self, include: Sequence[str] | None, exclude: Sequence[str]) -> None:
        for pattern in (*(include or ()), *exclude):
            check_pattern(pattern)
        self._include = None if include is None else _spec(include)
        self._included_suffixes = None if include is None else _suffixes(include)
        self._exclude = _spec(exclude)
        self._excluded_suffixes = _suffixes(exclude)
        self._excluded_directories = _spec([_as_file(pattern) for pattern in exclude])
        self._reopens = any(pattern.startswith("!") for pattern in exclude)

    def enters(self, directory: bytes) -> bool:
        """Can there be wanted files below this directory? Not if it, or one it is in, is
        excluded."""
        matches = self._excluded_directories.match_file
        if self._reopens:
            return not any(matches(_text(above)) for above in _down_to(directory))
        # Without a "!pattern", a pattern that matches a directory matches all that is below it.
        return not directory or not matches(_text(directory))

    def chooser(self, directory: bytes) -> Callable[[bytes], bool]:
        """A function that says which names of files, directly in this directory, are wanted. The
        directory must be one that ``enters`` is true of."""
        included = self._includer(directory)
        if self._excluded_suffixes == ():
            return included
        excluded = _matcher(self._exclude, self._excluded_suffixes, directory)
        return lambda name: included(name) and not excluded(name)

    def wants(self, path: bytes) -> bool:
        """Is the file at this path to be mirrored?"""
        directory, _, name = path.rpartition(b"/")
        return self.enters(directory) and self.chooser(directory)(name)

    def _includer(self, directory: bytes) -> Callable[[bytes], bool]:
        if self._include is None:
            return _is_supported
        suffixes = self._included_suffixes
        if suffixes is not None and directory and self._include.match_file(_text(directory) + "/"):
            return lambda _name: True
        return _matcher(self._include, suffixes, directory)


def check_pattern(pattern: str) -> None:
    """Raise ``ValueError``, with the reason, for a pattern that is wrong or can't match anything.

    git passes over some of these in silence; in a list of patterns they can only be mistakes.
    """
    if "\n" in pattern:
        raise ValueError("is more than one line: give each pattern an item of its own")
    if pattern.startswith("#"):
        raise ValueError('is a comment to git: write "\\#" for a name that begins with "#"')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            spec, directories = _spec([pattern]), _spec([_as_file(pattern)])
    except (ValueError, re.error, FutureWarning):
        raise ValueError("is no gitignore pattern") from None
    # An empty line is dropped, a comment and the like is kept without effect.
    if not all(each and each.patterns[0].include is not None for each in (spec, directories)):
        raise ValueError("is a pattern that matches nothing")


def _is_supported(name: bytes) -> bool:
    # Most end so as they are, and this is asked for every file of a scan.
    return name.endswith(_AS_USUAL) or name[name.rfind(b".") :].lower() in _SUPPORTED


def _suffixes(patterns: Sequence[str]) -> tuple[bytes, ...] | None:
    """What a file's name has to end in to be matched; ``None`` where the end does not decide.

    This is for speed alone: a scan asks for every file.
    """
    suffixes = []
    for pattern in patterns:
        if pattern.endswith("/"):
            continue  # It is of directories: it matches no file itself.
        ending = _ANY_NAME_ENDING_SO.fullmatch(pattern)
        if ending is None:
            return None
        suffixes.append(os.fsencode(ending[1]))
    return tuple(suffixes)


def _matcher(
    spec: GitIgnoreSpec, suffixes: tuple[bytes, ...] | None, directory: bytes
) -> Callable[[bytes], bool]:
    if suffixes is not None:
        return lambda name: name.endswith(suffixes)
    prefix = directory + b"/" if directory else b""
    return lambda name: spec.match_file(_text(prefix + name))


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    # The other backends, taken when they are installed, can't read names that are not UTF-8.
    return GitIgnoreSpec.from_lines(patterns, backend="simple")


def _as_file(pattern: str) -> str:
    # pathspec is asked about files. That a directory itself is matched, not only what is in it,
    # comes out by asking for it as for a file, with "name/" and "name" the same.
    return pattern.rstrip().rstrip("/")


def _text(path: bytes) -> str:
    # In a regular expression "." is no newline, but any name may have one. It goes where the
    # bytes go that are not UTF-8, to a place that none of them takes.
    return os.fsdecode(path).replace("\n", "\udc0a")


def _down_to(directory: bytes) -> Iterator[bytes]:
    """The directories from the top down to this one: ``a``, ``a/b``, ``a/b/c``."""
    end = directory.find(b"/")
    while end >= 0:
        yield directory[:end]
        end = directory.find(b"/", end + 1)
    if directory:
        yield directory
