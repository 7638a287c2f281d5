"""The bytes of an image to send: all of them, or no complete body."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from snoopsync.client.sources import (
    PIECE_BYTES,
    RequestBody,
    SourceError,
    open_image,
    rewindable,
)
from snoopsync.core.errors import FileChanged

CONTENT = bytes(range(256)) * 1000


def test_a_path_is_opened_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(CONTENT)
    for each in (path, str(path)):
        with open_image(each) as file:
            assert file.read() == CONTENT
        assert file.closed


def test_a_file_is_read_from_its_position_and_stays_open() -> None:
    given = io.BytesIO(CONTENT)
    given.seek(7)
    with open_image(given) as file:
        assert file.read() == CONTENT[7:]
    assert not given.closed


def test_a_stream_that_cannot_seek_is_copied() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"bytes")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, open_image(pipe) as file:
        assert file.seekable()
        assert file.read() == b"bytes"


def test_a_file_is_rewound_to_its_first_position_for_each_attempt() -> None:
    given = io.BytesIO(CONTENT)
    given.seek(7)
    with rewindable(given) as image:
        for _ in range(2):
            with open_image(image()) as file:
                assert file.read() == CONTENT[7:]


def test_a_body_has_the_length_and_the_pieces_of_the_file() -> None:
    sent: list[int] = []
    body = RequestBody(io.BytesIO(CONTENT), sent.append)
    assert body.length == len(CONTENT)
    assert b"".join(body) == CONTENT
    assert sum(sent) == len(CONTENT)
    assert max(sent) == PIECE_BYTES


class Growing(io.BytesIO):
    """A file that has one byte more at its end than when it was opened."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size) or b"x"


class Failing(io.BytesIO):
    """A file that can be read up to its last piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= len(CONTENT) - len(CONTENT) % PIECE_BYTES:
            raise OSError("bad disk")
        return super().read(size)


def test_the_last_piece_is_held_back_until_the_file_has_ended_at_its_length() -> None:
    for file, error in [(Growing(CONTENT), FileChanged), (Failing(CONTENT), OSError)]:
        sent = bytearray()
        with pytest.raises(SourceError) as caught:
            for piece in RequestBody(file):
                sent += piece
        assert isinstance(caught.value.error, error)
        assert len(sent) < len(CONTENT)


def test_a_file_that_shrinks_at_once_has_no_body() -> None:
    class Shrunk(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return b""

    with pytest.raises(FileChanged, match="the image changed its size"):
        RequestBody(Shrunk(CONTENT))
