"""Helpers for the tests of decoding."""

from __future__ import annotations

import hashlib
import io

from snoopsync.decoding.decode import features_of
from snoopsync.decoding.features import CODE_BYTES, Features


def extract(data: bytes) -> Features:
    """The features of the picture in these bytes, decoded in this process."""
    return features_of(io.BytesIO(data), hashlib.sha256(data).digest())


def distance(one: Features, other: Features) -> int:
    """The bits between the nearest form of one picture and the other picture as it is."""
    stored = other.codes[:CODE_BYTES]
    return min(
        (int.from_bytes(one.codes[at : at + CODE_BYTES]) ^ int.from_bytes(stored)).bit_count()
        for at in range(0, len(one.codes), CODE_BYTES)
    )
