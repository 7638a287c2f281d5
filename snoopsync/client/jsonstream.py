"""Reads a JSON object that has one long list in it, entry by entry.

``json`` reads a text as a whole, and small JSON can become large objects: 16 MB of ``{},{},...``
take 400 MB. Here each entry of the list is decoded on its own and handed over, so that memory does
not grow with the list, and no entry may be longer than ``LONGEST_VALUE``. (The streaming parsers
on the package index limit neither the length of a text nor that of a number.)
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from snoopsync.core.errors import ExcessiveAnswer

#: The most characters of JSON that one entry of the list may have, and all values beside it.
LONGEST_VALUE = 64 * 1024

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def read_object(
    pieces: Iterable[bytes], list_name: str, take: Callable[[Any], None]
) -> dict[str, Any] | None:
    """The JSON object in these pieces of UTF-8; ``None`` if they are something else.

    Each entry of its list ``list_name`` is given to ``take``, and the list that is returned is
    empty. Raises ``ExcessiveAnswer`` for a value that is too long, and whatever ``take`` raises.
    """
    reader = _Reader(pieces)
    try:
        return _object(reader, list_name, take)
    except (ValueError, RecursionError):
        return None


def _object(reader: _Reader, list_name: str, take: Callable[[Any], None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    reader.expect("{")
    is_open = reader.peek() != "}"
    left = LONGEST_VALUE
    while is_open:
        name, name_length = reader.value()
        if not isinstance(name, str):
            raise ValueError("a name is a text")  # noqa: TRY004 - of the JSON, not of an argument
        reader.expect(":")
        length = 0
        if name == list_name and reader.peek() == "[":
            found[name] = []
            _each(reader, take)
        else:
            found[name], length = reader.value()
        left -= name_length + length
        if left < 0:
            raise _too_long(f"what it has beside {list_name!r}")
        is_open = reader.peek() == ","
        if is_open:
            reader.expect(",")
    reader.expect("}")
    if reader.peek():
        raise ValueError("there is more after the object")
    return found


def _each(reader: _Reader, take: Callable[[Any], None]) -> None:
    reader.expect("[")
    is_open = reader.peek() != "]"
    while is_open:
        take(reader.value()[0])
        is_open = reader.peek() == ","
        if is_open:
            reader.expect(",")
    reader.expect("]")


class _Reader:
    """Reads pieces of text as far as they are needed, and forgets what was read."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._has_ended = False

    def _more(self, characters: int) -> bool:
        """Read at least so many more characters, or up to the end. Returns whether there was
        one."""
        parts, count = [self._text[self._at :]], 0
        while count < characters and not self._has_ended:
            piece = next(self._pieces, None)
            self._has_ended = piece is None
            parts.append(self._decoder.decode(piece or b"", self._has_ended))
            count += len(parts[-1])
        self._text, self._at = "".join(parts), 0
        return count > 0

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None
            self._at = space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(1):
                return ""

    def expect(self, character: str) -> None:
        """Pass over this character."""
        if self.peek() != character:
            raise ValueError(f"{character} is missing")
        self._at += 1

    def value(self) -> tuple[Any, int]:
        """The next value, and how many characters it has."""
        self.peek()
        while True:
            has = len(self._text) - self._at
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError:
                end = None
            # A number that reaches to the end of the text may go on in the next piece.
            if end is not None and (end < len(self._text) or self._has_ended):
                length, self._at = end - self._at, end
                if length > LONGEST_VALUE:
                    raise _too_long("a value in it")
                return value, length
            if has > LONGEST_VALUE:
                raise _too_long("a value in it")
            # As much again, so that the time does not grow with the square of the length.
            if not self._more(max(has, 1)):
                raise ValueError("the text ends in the middle of a value")


def _too_long(what: str) -> ExcessiveAnswer:
    return ExcessiveAnswer(f"the answer is refused: {what} has more than {LONGEST_VALUE >> 10} KB")
