"""Labels: what an image is called, for people who look at the collection from other machines."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from snoopsync.core.errors import Refused
from snoopsync.core.model import RelPath

#: The header of a request with the label of an image. Its value is percent-encoded UTF-8.
LABEL_HEADER = "X-Snoopsync-Label"

#: The largest size of a label in UTF-8.
LABEL_BYTES = 512

#: Stands at the beginning of a label that was cut.
_ELLIPSIS = "…"

#: Stands for each byte or character that a label can't contain.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Labelling:
    """How images are labelled. ``host``: the name of this machine; empty if images have no
    label."""

    host: str = ""

    def label_of(self, rel_path: RelPath) -> str | None:
        """The label of the image of this file (``host: folder/path``), or ``None``."""
        return label_of(self.host, rel_path) if self.host else None


def label_of(host: str, rel_path: RelPath) -> str:
    """The label of the image of a file on this machine. Bytes that are not UTF-8 and control
    characters are replaced. A label that is too long is cut at the front."""
    text = os.fsencode(f"{host}: {rel_path.folder}/") + rel_path.path
    label = "".join(
        _REPLACEMENT if _is_control(each) else each for each in text.decode("utf-8", "replace")
    )
    if len(label.encode()) <= LABEL_BYTES:
        return label
    end = label.encode()[len(_ELLIPSIS.encode()) - LABEL_BYTES :]
    return _ELLIPSIS + end.decode("utf-8", "ignore")  # ignores the rest of a character that was cut


def check_label(label: str) -> None:
    """Raise ``Refused`` (400) if an image can't have this label."""
    try:
        size = len(label.encode())
    except UnicodeEncodeError:
        raise Refused("a label must be a text in UTF-8", status=400) from None
    if size > LABEL_BYTES:
        raise Refused(f"a label must have at most {LABEL_BYTES} bytes in UTF-8", status=400)
    if any(map(_is_control, label)):
        raise Refused("a label must not contain control characters", status=400)


def encode_label(label: str) -> str:
    """The value of the header for this label."""
    return quote(label, safe="")


def decode_label(header: str) -> str | None:
    """The label in the value of the header; ``None`` for an empty value. Raises ``Refused`` (400)
    for a value without a valid label."""
    try:
        label = unquote_to_bytes(header.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise Refused("a label must be percent-encoded UTF-8", status=400) from None
    check_label(label)
    return label or None


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc"
