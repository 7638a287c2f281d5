"""Words for the tests of the embedded collection."""

from __future__ import annotations

import io

from snoopsync.embedded.decode import features_of
from snoopsync.embedded.features import CODE_BYTES, Features
from snoopsync.embedded.source import read_body


def look(data: bytes) -> Features:
    """The features of a picture in these bytes."""
    return features_of(read_body(io.BytesIO(data)))


def distance(one: Features, other: Features) -> int:
    """Bits between two pictures: of any form of the one, and the other as it is."""
    stored = other.codes[:CODE_BYTES]
    return min(
        (int.from_bytes(one.codes[at : at + CODE_BYTES]) ^ int.from_bytes(stored)).bit_count()
        for at in range(0, len(one.codes), CODE_BYTES)
    )
