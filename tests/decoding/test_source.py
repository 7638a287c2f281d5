"""Reading an image to decode it: sources, limits and errors."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from snoopsync.core.errors import FileChanged, Refused
from snoopsync.decoding import source
from snoopsync.decoding.source import read_picture

DATA = bytes(range(256)) * 9_000  # more than one chunk


def test_a_path_can_have_any_type(tmp_path: Path) -> None:
    path = tmp_path / "é.jpg"
    path.write_bytes(DATA)
    for form in (path, str(path)):
        with read_picture(form) as picture:
            assert picture.file.read() == DATA
            assert picture.size_bytes == len(DATA)
            assert picture.sha256 == hashlib.sha256(DATA).digest()


def test_a_file_with_a_non_utf8_name_can_be_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))
    path.write_bytes(b"x")
    with read_picture(path) as picture:
        assert picture.size_bytes == 1


def test_bytes_are_read_as_the_picture() -> None:
    with read_picture(DATA) as picture:
        assert picture.sha256 == hashlib.sha256(DATA).digest()


def test_a_file_object_is_read_from_its_position() -> None:
    file = io.BytesIO(b"before" + DATA)
    file.seek(6)
    with read_picture(file) as picture:
        assert picture.file.read() == DATA


def test_short_reads_continue_to_the_end() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(1)

    with read_picture(Trickle(b"abc")) as picture:
        assert picture.size_bytes == 3


def test_an_empty_picture_is_refused() -> None:
    with pytest.raises(Refused, match="empty") as refused:
        read_picture(io.BytesIO())
    assert refused.value.status == 400


def test_a_file_that_is_too_large_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1024 * 1024)
    file = io.BytesIO(DATA)
    with pytest.raises(Refused, match="larger than 1 MiB") as refused:
        read_picture(file)
    assert refused.value.status == 413
    assert file.tell() < len(DATA)


def test_an_error_while_reading_the_file_is_raised() -> None:
    class Changing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise FileChanged("a.jpg changed while it was read")
            return data

    with pytest.raises(FileChanged, match=r"a\.jpg"):
        read_picture(Changing(DATA))
