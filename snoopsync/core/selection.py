"""Decides which files of a folder are mirrored, by gitignore patterns.

The patterns are those of https://git-scm.com/docs/gitignore. ``exclude`` works exactly as in git:
the content of an excluded directory stays excluded, even if a later ``!pattern`` matches it.
``include`` is applied to each file alone, so ``["2024/", "!*.gif"]`` selects all of 2024 but its
GIFs.

``DEFAULT_EXCLUDE`` applies before the folder's own ``exclude``, so a ``!pattern`` of the folder can
cancel one of its patterns.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from snoopsync.core.left_out import LeftOut

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

#: The suffixes of pictures that an extra of snoopsync makes the embedded collection decode: camera
#: RAW and JPEG XL.
EXTRA_SUFFIXES = {
    "raw": tuple(b".cr2 .cr3 .nef .arw .dng .raf .orf .rw2 .pef .srw".split()),
    "jxl": (b".jxl",),
}

#: The image suffixes that snoopsync mirrors by default. Case does not matter.
SUPPORTED_SUFFIXES = (
    *b".jpg .jpeg .jpe .jfif .mpo .png .webp .gif .tif .tiff .bmp .avif .heic .heif .hif".split(),
    *(b".psd", b".psb"),
    *(suffix for suffixes in EXTRA_SUFFIXES.values() for suffix in suffixes),
)

#: Suffixes of pictures that snoopsync can't read: first camera raw formats, then others.
UNSUPPORTED_SUFFIXES = frozenset(
    b".3fr .ari .bay .crw .dcr .dcs .erf .fff .gpr .iiq .k25 .kdc .mdc .mef .mos .mrw .nrw .ori"
    b" .ptx .raw .rwl .sr2 .srf .x3f"
    b" .ai .apng .avifs .cur .dcm .dds .dib .djvu .emf .eps .exr .fit .fits .hdr .heics .heifs"
    b" .icns .ico .insp .j2c .j2k .jls .jp2 .jpf .jpm .jpx .jxr .kra .livp .pam .pbm .pcd .pcx .pgm"
    b" .pict .pnm .ppm .qoi .sgi .svg .svgz .tga .wbmp .wdp .wmf .xbm .xcf .xpm".split()
)

#: Files and directories of other programs: AppleDouble files, trash, thumbnails, versions,
#: snapshots, sync data and temporary files. The syntax is that of gitignore, but case does not
#: matter, since NTFS, exFAT and macOS store these names in several spellings. No pattern has a
#: slash before its end.
DEFAULT_EXCLUDE = (
    "._*",
    "__MACOSX/",
    "lost+found/",
    ".Trash-*/",
    ".trash/",
    ".Trashes/",
    "\\#recycle/",
    ".recycle/",
    "$RECYCLE.BIN/",
    "System Volume Information/",
    ".thumbnails/",
    "@eaDir/",
    ".@__thumb/",
    ".dtrash/",
    ".picasaoriginals/",
    ".stversions/",
    ".stfolder/",
    ".sync/",
    ".snapshots/",
    ".zfs/",
    "*.lrdata/",
    ".#*",
    "~*",
    ".~*",
    ".nfs*",
    ".*.tmp",
    "*.part",
    ".syncthing.*",
)

_SUFFIX_PATTERN = re.compile(r"\*(\.[\w.-]+)")


def _regex(patterns: Sequence[str]) -> str:
    """A regular expression for the names that these patterns of ``DEFAULT_EXCLUDE`` match."""
    names = (pattern.removeprefix("\\").removesuffix("/") for pattern in patterns)
    return "|".join("[^/]*".join(map(re.escape, name.split("*"))) for name in names)


# One expression for all patterns, because a scan applies it to every file.
_is_program_file = re.compile(
    f"(?is)(?:{_regex([each for each in DEFAULT_EXCLUDE if not each.endswith('/')])})".encode()
).fullmatch
#: Every name with a picture's suffix that ``DEFAULT_EXCLUDE`` matches begins with one of these.
_PROGRAM_FILE_STARTS = b".~"
_has_program_directory = re.compile(
    f"(?is)(?:\\A|/)(?:{_regex(DEFAULT_EXCLUDE)})(?:/|\\Z)".encode()
).search


class Selection:
    """The files that a folder's ``include`` and ``exclude`` patterns select.

    ``include``: ``None`` selects the supported image suffixes. ``exclude_defaults``: whether
    ``DEFAULT_EXCLUDE`` applies. ``missing_extras``: keys of ``EXTRA_SUFFIXES``, whose pictures are
    left out, whatever ``include`` says. Paths are relative to the folder, without a slash at either
    end; ``b""`` is the folder itself. Raises ``ValueError`` for a pattern that is wrong or can't
    match.
    """

    def __init__(
        self,
        include: Sequence[str] | None,
        exclude: Sequence[str],
        *,
        exclude_defaults: bool = True,
        missing_extras: Collection[str] = (),
    ) -> None:
        for pattern in (*(include or ()), *exclude):
            check_pattern(pattern)
        self._needed = {
            suffix: LeftOut(f"needs-{extra}")
            for extra, suffixes in EXTRA_SUFFIXES.items()
            if extra in missing_extras
            for suffix in suffixes
        }
        supported = tuple(each for each in SUPPORTED_SUFFIXES if each not in self._needed)
        self._is_supported, self._is_wanted_by_default = _by_suffix(supported)
        self._include = None if include is None else _matches(include)
        self._included_suffixes = None if include is None else _suffixes(include)
        self._exclude = _matches(exclude)
        self._excluded_suffixes = _suffixes(exclude)
        self._excluded_directories = _matches(_as_files(exclude))
        self._has_defaults = exclude_defaults
        self._reopens = any(pattern.startswith("!") for pattern in exclude)
        # These are slow to apply, and are needed only if a "!pattern" may override a default.
        joined = [*map(_any_case, DEFAULT_EXCLUDE), *exclude] if exclude_defaults else exclude
        self._joined = _matches(joined if self._reopens else ())
        self._joined_directories = _matches(_as_files(joined) if self._reopens else ())
        meaning = (
            supported if include is None else (*include, *sorted(self._needed)),
            tuple(exclude),
            DEFAULT_EXCLUDE if exclude_defaults else (),
        )
        #: Two selections with the same digest select the same files.
        self.digest = hashlib.sha256(repr(meaning).encode(errors="surrogatepass")).hexdigest()

    def enters(self, directory: bytes) -> bool:
        """Returns whether a scan enters this directory: neither it nor a parent is excluded."""
        return self.why_not_entered(directory) is None

    def why_not_entered(self, directory: bytes) -> LeftOut | None:
        """Why a scan does not enter this directory; ``None`` if it does."""
        if self._reopens:
            matches = self._joined_directories.match_file
            excluded = next((above for above in _down_to(directory) if matches(_text(above))), None)
            if excluded is None:
                return None
            is_own = self._excluded_directories.match_file(_text(excluded))
            return LeftOut.EXCLUDED if is_own else LeftOut.OTHER_PROGRAM
        # Without a "!pattern", a pattern that matches a directory matches everything below it.
        if not directory:
            return None
        if self._excluded_directories.match_file(_text(directory)):
            return LeftOut.EXCLUDED
        if self._has_defaults and _has_program_directory(directory):
            return LeftOut.OTHER_PROGRAM
        return None

    def chooser(self, directory: bytes) -> Callable[[bytes], bool]:
        """A function that returns whether a file with a given name, directly in this directory, is
        wanted. ``enters`` must be true for the directory."""
        included = self._includer(directory)
        if self._include is not None and self._needed:
            included = self._without_needed(included)
        why_excluded = self._excluder(directory)
        if why_excluded is None:
            return included
        if included is self._is_supported and why_excluded is _why_default:
            return self._is_wanted_by_default
        return lambda name: included(name) and why_excluded(name) is None

    def reasoner(self, directory: bytes) -> Callable[[bytes], LeftOut | None]:
        """A function that returns why a file with a given name, directly in this directory, is not
        wanted, or ``None`` if it is wanted. It is slower than the function of ``chooser``."""
        included = self._includer(directory)
        why_excluded = self._excluder(directory) or (lambda _name: None)

        def reason(name: bytes) -> LeftOut | None:
            needed = self._needed.get(_suffix(name))
            if included(name):
                return why_excluded(name) or needed
            if self._has_defaults and _is_program_file(name):
                return LeftOut.OTHER_PROGRAM
            if self._include is not None:
                return LeftOut.NOT_INCLUDED
            if needed or _suffix(name) in UNSUPPORTED_SUFFIXES:
                return why_excluded(name) or needed or LeftOut.UNSUPPORTED
            return LeftOut.OTHER_TYPE

        return reason

    def wants(self, path: bytes) -> bool:
        """Returns whether the file at this path is mirrored."""
        directory, _, name = path.rpartition(b"/")
        return self.enters(directory) and self.chooser(directory)(name)

    def _includer(self, directory: bytes) -> Callable[[bytes], bool]:
        if self._include is None:
            return self._is_supported
        suffixes = self._included_suffixes
        if suffixes is not None and directory and self._include.match_file(_text(directory) + "/"):
            return lambda _name: True
        return _matcher(self._include, suffixes, directory)

    def _without_needed(self, included: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
        needed = self._needed
        return lambda name: included(name) and _suffix(name) not in needed

    def _excluder(self, directory: bytes) -> Callable[[bytes], LeftOut | None] | None:
        """A function that returns which list excludes a file name in this directory, or ``None`` if
        no list does. ``None`` in place of the function if no name is excluded."""
        if self._excluded_suffixes == ():
            return _why_default if self._has_defaults else None
        own = _matcher(self._exclude, self._excluded_suffixes, directory)
        if not self._has_defaults:
            return lambda name: LeftOut.EXCLUDED if own(name) else None
        if not self._reopens:
            return lambda name: LeftOut.EXCLUDED if own(name) else _why_default(name)
        joined = _matcher(self._joined, None, directory)

        def why_excluded(name: bytes) -> LeftOut | None:
            if own(name):
                return LeftOut.EXCLUDED
            return LeftOut.OTHER_PROGRAM if _is_program_file(name) and joined(name) else None

        return why_excluded


def _why_default(name: bytes) -> LeftOut | None:
    return LeftOut.OTHER_PROGRAM if _is_program_file(name) else None


def check_pattern(pattern: str) -> None:
    """Raise ``ValueError``, with the reason, for a pattern that is wrong or can't match anything.

    git silently ignores some of these, but in a list of patterns they can only be mistakes.
    """
    if "\n" in pattern:
        raise ValueError("is more than one line: write each pattern as its own list item")
    if pattern.startswith("#"):
        raise ValueError('is a comment in git: write "\\#" for a name that begins with "#"')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            spec, directories = _spec([pattern]), _spec(_as_files([pattern]))
    except (ValueError, re.error, FutureWarning):
        raise ValueError("is not a valid gitignore pattern") from None
    # pathspec drops an empty line, and keeps a comment as a pattern without effect.
    if not all(each and each.patterns[0].include is not None for each in (spec, directories)):
        raise ValueError("is a pattern that matches nothing")


@lru_cache
def _by_suffix(
    suffixes: tuple[bytes, ...],
) -> tuple[Callable[[bytes], bool], Callable[[bytes], bool]]:
    """Two functions: does a name have one of these suffixes, in any case; and if so, is it not a
    file of another program? They run for every file of a scan."""
    any_case = frozenset(suffixes)
    # Most suffixes are all lower case or all upper case.
    same_case = (*suffixes, *(suffix.upper() for suffix in suffixes))

    def is_supported(name: bytes) -> bool:
        return name.endswith(same_case) or _suffix(name) in any_case

    def is_wanted_by_default(name: bytes) -> bool:
        # The first character and the suffix decide most names.
        if name.endswith(same_case) and name[0] not in _PROGRAM_FILE_STARTS:
            return True
        return is_supported(name) and not _is_program_file(name)

    return is_supported, is_wanted_by_default


def _suffix(name: bytes) -> bytes:
    return name[name.rfind(b".") :].lower()


def _suffixes(patterns: Sequence[str]) -> tuple[bytes, ...] | None:
    """The suffixes that decide whether a name matches; ``None`` if a suffix alone can't decide.

    This is an optimization: a scan matches every file.
    """
    suffixes = []
    for pattern in patterns:
        if pattern.endswith("/"):
            continue  # A pattern for directories matches no file itself.
        ending = _SUFFIX_PATTERN.fullmatch(pattern)
        if ending is None:
            return None
        suffixes.append(os.fsencode(ending[1]))
    return tuple(suffixes)


def _matcher(
    spec: _Matches, suffixes: tuple[bytes, ...] | None, directory: bytes
) -> Callable[[bytes], bool]:
    if suffixes is not None:
        return lambda name: name.endswith(suffixes)
    prefix = directory + b"/" if directory else b""
    return lambda name: bool(spec.match_file(_text(prefix + name)))


class _Matches(Protocol):
    """Does a path match any of some patterns?"""

    def match_file(self, file: str) -> bool | None: ...


class _MatchesNothing:
    def match_file(self, file: str) -> bool:
        return False


def _matches(patterns: Sequence[str]) -> _Matches:
    return _spec(patterns) if patterns else _MatchesNothing()


def _spec(patterns: Sequence[str]) -> GitIgnoreSpec:
    # Imported late: most folders have no patterns.
    from pathspec import GitIgnoreSpec

    # If other backends are installed, pathspec would use them, but they can't read names that are
    # not UTF-8.
    return GitIgnoreSpec.from_lines(patterns, backend="simple")


def _as_files(patterns: Sequence[str]) -> list[str]:
    # "name/" matches only the content of a directory in pathspec. Without the slash, it matches the
    # path of the directory itself.
    return [pattern.rstrip().rstrip("/") for pattern in patterns]


def _any_case(pattern: str) -> str:
    """A pattern of ``DEFAULT_EXCLUDE`` that matches names in any case."""
    return "".join(
        f"[{char.lower()}{char.upper()}]" if char.isalpha() else char for char in pattern
    )


def _text(path: bytes) -> str:
    # pathspec's "." does not match a newline, but a file name may contain one. It is replaced by
    # "\udc0a", which os.fsdecode never returns: its surrogates begin at U+DC80.
    return os.fsdecode(path).replace("\n", "\udc0a")


def _down_to(directory: bytes) -> Iterator[bytes]:
    """The directories from the topmost to this one: ``a``, ``a/b``, ``a/b/c``."""
    end = directory.find(b"/")
    while end >= 0:
        yield directory[:end]
        end = directory.find(b"/", end + 1)
    if directory:
        yield directory
