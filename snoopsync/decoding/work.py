"""The function that a decoder runs for each picture, inside the sandbox."""

from __future__ import annotations

import io
from typing import BinaryIO

from snoopsync.core.errors import Refused, Undecodable
from snoopsync.decoding.decode import features_of
from snoopsync.decoding.layout import pack, pack_refusal
from snoopsync.decoding.metadata import shot_of
from snoopsync.decoding.samples import samples
from snoopsync.decoding.shots import SHOT_QUESTION, pack_shot


def extract(picture: BinaryIO, question: bytes) -> bytes:
    """The answer (see ``layout``) for this picture. ``question``: the SHA-256 of the picture, for
    its features, or ``SHOT_QUESTION``."""
    try:
        content = io.BytesIO(picture.read())
        if question == SHOT_QUESTION:
            return pack_shot(shot_of(content))
        return pack(features_of(content, question))
    except Refused as refusal:
        return pack_refusal(refusal)
    except MemoryError:
        return pack_refusal(Undecodable("takes too much memory to decode", status=413))


def extract_prepare() -> None:
    """Decode a sample of each codec, so that no code has to be loaded later. If a codec is not
    installed, its sample is refused, which is harmless."""
    for sample in samples().values():
        for question in (b"", SHOT_QUESTION):
            extract(io.BytesIO(sample), question)
