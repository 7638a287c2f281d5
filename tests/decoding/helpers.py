"""Helpers for the tests of decoding."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import psutil

from snoopsync.decoding.decode import features_of
from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.features import CODE_BYTES, Features
from snoopsync.decoding.pool import Pool
from snoopsync.decoding.sandbox import DecoderLimits
from snoopsync.decoding.source import read_picture
from tests.support.pictures import encode, photo

PICTURE = photo(1, (160, 120))
PLAIN = encode(PICTURE, "PNG")

#: Large enough that a decoder shrinks it.
LARGE = (1024, 768)

LIMITS = DecoderLimits(memory_bytes=1 << 30, cpu_seconds=1, wall_seconds=60.0)


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


def ask(pool: Pool, content: bytes) -> bytes:
    """The answer of a decoder about a picture with this content."""
    with read_picture(content) as picture:
        return pool.decode(picture.file.fileno(), picture.sha256, bytes)


def processes_of(pool: Pool) -> tuple[psutil.Process, list[psutil.Process]]:
    """The process that decoders are forked from, and the decoders."""
    zygote = psutil.Process(pool.zygote_id)
    return zygote, zygote.children()


def evidence(data: bytes) -> FileEvidence:
    found = extract(data).evidence
    assert found is not None
    return found


def chunk(name: bytes, body: bytes, *, check: int | None = None) -> bytes:
    """A chunk of a PNG, with this checksum instead of its own."""
    check = zlib.crc32(name + body) if check is None else check
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)
