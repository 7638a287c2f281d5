"""The function that a decoder runs for each picture, inside the sandbox."""

from __future__ import annotations

import io
from typing import BinaryIO

from snoopsync.core.errors import Refused, Undecodable
from snoopsync.decoding.decode import features_of
from snoopsync.decoding.layout import pack, pack_refusal
from snoopsync.decoding.samples import samples


def extract(picture: BinaryIO, sha256: bytes) -> bytes:
    """The answer (see ``layout``) for this picture, whose SHA-256 is ``sha256``."""
    try:
        return pack(features_of(io.BytesIO(picture.read()), sha256))
    except Refused as refusal:
        return pack_refusal(refusal)
    except MemoryError:
        return pack_refusal(Undecodable("takes too much memory to decode", status=413))


def extract_prepare() -> None:
    """Decode a sample of each codec, so that no code has to be loaded later. If a codec is not
    installed, its sample is refused, which is harmless."""
    for sample in samples().values():
        extract(io.BytesIO(sample), b"")
