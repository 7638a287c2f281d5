"""Reads a JSON object that contains one long list, entry by entry.

``json`` decodes a whole text at once, and a small text can become large objects: 16 MB of
``{},{},...`` take 400 MB. Here each entry of the list is decoded separately and must not be longer
than ``LONGEST_VALUE``, so memory use does not grow with the list. The streaming parsers on PyPI do
not limit the length of a text or a number.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from snoopsync.core.errors import ExcessiveAnswer

#: The largest number of characters in one entry of the list, and in all other values together.
LONGEST_VALUE = 64 * 1024

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")

#: Matches the rest of a text if a number may continue after it.
_NUMBER_REST = re.compile(r"[-+.0-9eE]*\Z")


def read_object(
    pieces: Iterable[bytes], list_name: str, take: Callable[[Any], None]
) -> dict[str, Any] | None:
    """Return the JSON object in these pieces of UTF-8; ``None`` if they are not a JSON object.

    ``take`` is called with each entry of the list ``list_name``. The list is empty in the result.
    Raises ``ExcessiveAnswer`` for a value that is too long, and whatever ``take`` raises.
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
            raise ValueError("a name is not a text")  # noqa: TRY004 - about the JSON, not an argument
        reader.expect(":")
        length = 0
        if name == list_name and reader.peek() == "[":
            found[name] = []
            _each(reader, take)
        else:
            found[name], length = reader.value()
        left -= name_length + length
        if left < 0:
            raise _too_long(f"everything except {list_name!r}")
        is_open = reader.peek() == ","
        if is_open:
            reader.expect(",")
    reader.expect("}")
    if reader.peek():
        raise ValueError("more text follows the object")
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
    """Reads pieces of text as they are needed, and drops what was used."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._has_ended = False

    def _more(self, characters: int) -> bool:
        """Read at least this many more characters, or up to the end. Returns whether any were
        read."""
        parts, count = [self._text[self._at :]], 0
        while count < characters and not self._has_ended:
            piece = next(self._pieces, None)
            self._has_ended = piece is None
            parts.append(self._decoder.decode(piece or b"", self._has_ended))
            count += len(parts[-1])
        self._text, self._at = "".join(parts), 0
        return count > 0

    def peek(self) -> str:
        """Return the next character that is not white space; an empty text at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            assert space is not None
            self._at = space.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(1):
                return ""

    def expect(self, character: str) -> None:
        """Skip this character. Raises ``ValueError`` if the next character is another one."""
        if self.peek() != character:
            raise ValueError(f"{character} is missing")
        self._at += 1

    def value(self) -> tuple[Any, int]:
        """Return the next value, and the number of its characters."""
        self.peek()
        while True:
            has = len(self._text) - self._at
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError:
                end = None
            # A number at the end of the text may continue in the next piece, even if the text ends
            # in a part that is not decoded yet, such as the "e" of an exponent.
            if end is not None and (self._has_ended or not _NUMBER_REST.match(self._text, end)):
                length, self._at = end - self._at, end
                if length > LONGEST_VALUE:
                    raise _too_long("a value in it")
                return value, length
            if has > LONGEST_VALUE:
                raise _too_long("a value in it")
            # The text is doubled. Otherwise the time would grow with the square of its length.
            if not self._more(max(has, 1)):
                raise ValueError("the text ends in the middle of a value")


def _too_long(what: str) -> ExcessiveAnswer:
    return ExcessiveAnswer(f"the answer is refused: {what} has more than {LONGEST_VALUE >> 10} KB")
