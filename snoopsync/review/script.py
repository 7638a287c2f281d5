"""Marked files as a list of paths, and as a shell script that moves them.

Names of files are bytes: a path may contain anything but NUL. So both texts are bytes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from snoopsync.core.model import printable

_SCRIPT = b"""\
#!/bin/sh
# Moves duplicates into a folder, each together with files that belong to it. Before each move,
# both files are read again: a file that has changed stays where it is, and so does one whose file
# to keep is gone. Nothing is overwritten. It needs sha256sum.
set -u
LC_ALL=C
export LC_ALL
into=%(into)s
moved=0
left=0

# Is this a file, and not a link, with this SHA-256?
has() {
    [ -f "$1" ] && [ ! -L "$1" ] && sum=$(sha256sum <"$1") && [ "${sum%%%% *}" = "$2" ]
}

# This file stays where it is, and so do the files that belong to it.
leave() {
    printf '%%s: %%s\\n' "$1" "$2" >&2
    left=$((left + 1))
    return 1
}

# The marked file and its SHA-256, the file to keep and its SHA-256, and the marked file for people.
move() {
    if ! has "$3" "$4"; then
        leave "$5" 'the file to keep is gone or has changed'
        return
    fi
    if ! has "$1" "$2"; then
        leave "$5" 'the file is gone or has changed'
        return
    fi
    if [ "$1" -ef "$3" ]; then
        leave "$5" 'it is the file to keep, under another name'
        return
    fi
    name=${1##*/}
    target=$into/$name
    number=1
    while [ -e "$target" ] || [ -L "$target" ]; do
        number=$((number + 1))
        target="$into/$number $name"
    done
    mv -n -- "$1" "$target"
    if [ -e "$1" ] || [ -L "$1" ] || ! has "$target" "$2"; then
        leave "$5" 'it could not be moved'
    elif [ ! -f "$3" ]; then
        mv -n -- "$target" "$1"
        leave "$5" 'it is the file to keep, under another name'
    else
        moved=$((moved + 1))
    fi
}

command -v sha256sum >/dev/null || { echo 'sha256sum is missing' >&2; exit 1; }
mkdir -p -- "$into" || exit 1
%(moves)s
echo "moved: $moved, left where they are: $left"
[ "$left" -eq 0 ]
"""


class Move(NamedTuple):
    """A marked file and the file to keep: absolute paths, and the SHA-256 that each had.
    ``companions`` are moved after the marked file, each only if the one before it was moved.
    ``stay``: sentences about companions that stay."""

    marked: bytes
    marked_sha256: bytes
    keep: bytes
    keep_sha256: bytes
    companions: tuple[Move, ...] = ()
    stay: tuple[str, ...] = ()


def shell_script(moves: Iterable[Move], into: bytes) -> bytes:
    """A script for any POSIX shell that moves these files into the folder ``into``, an absolute
    path, which it creates. Raises ``ValueError`` for a path that is not absolute or has a NUL."""
    lines = [line for move in moves for line in _lines(move)]
    return _SCRIPT % {b"into": _quoted(_absolute(into)), b"moves": b"\n".join(lines)}


def path_list(paths: Iterable[bytes], *, null: bool = False) -> tuple[bytes, Sequence[bytes]]:
    """The paths, each followed by a newline, or with ``null`` by a NUL; and the paths that cannot
    be in a list of lines because they contain a newline."""
    if null:
        return b"".join(path + b"\0" for path in paths), ()
    all_paths = list(paths)
    left_out = [path for path in all_paths if b"\n" in path]
    return b"".join(path + b"\n" for path in all_paths if b"\n" not in path), left_out


def _lines(move: Move) -> Iterable[bytes]:
    yield from (b"# " + printable(sentence).encode() for sentence in move.stay)
    calls = (b"move " + b" ".join(_arguments(each)) for each in (move, *move.companions))
    yield b" &&\n    ".join(calls)


def _arguments(move: Move) -> Iterable[bytes]:
    yield _quoted(_absolute(move.marked))
    yield move.marked_sha256.hex().encode()
    yield _quoted(_absolute(move.keep))
    yield move.keep_sha256.hex().encode()
    # A terminal would obey control characters.
    yield _quoted(printable(move.marked).encode())


def _absolute(path: bytes) -> bytes:
    if not path.startswith(b"/") or b"\0" in path:
        raise ValueError("not an absolute path")
    return path


def _quoted(text: bytes) -> bytes:
    """The text as one word of a shell: between single quotes nothing has a meaning."""
    return b"'" + text.replace(b"'", b"'\\''") + b"'"
