"""Reading the image that is to be sent."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from snoopsync.embedded import source
from snoopsync.embedded.source import read_body
from snoopsync.errors import FileChanged, Refused

DATA = bytes(range(256)) * 9_000  # more than one chunk


def test_a_path_may_be_given_in_any_form(tmp_path: Path) -> None:
    path = tmp_path / "é.jpg"
    path.write_bytes(DATA)
    for form in (path, str(path)):
        body = read_body(form)
        assert body.content.read() == DATA
        assert body.size_bytes == len(DATA)
        assert body.sha256 == hashlib.sha256(DATA).digest()


def test_a_name_that_is_no_text_can_be_read(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))
    path.write_bytes(b"x")
    assert read_body(path).size_bytes == 1


def test_bytes_are_the_picture() -> None:
    assert read_body(DATA).sha256 == hashlib.sha256(DATA).digest()


def test_a_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"before" + DATA)
    file.seek(6)
    body = read_body(file)
    assert body.content.read() == DATA
    assert body.sha256 == hashlib.sha256(DATA).digest()


def test_a_file_that_gives_a_little_at_a_time_is_read_to_its_end() -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(1)

    assert read_body(Trickle(b"abc")).size_bytes == 3


def test_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="empty") as refused:
        read_body(io.BytesIO())
    assert refused.value.status == 400


def test_far_too_much_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1024 * 1024)
    file = io.BytesIO(DATA)
    with pytest.raises(Refused, match="larger than 1 MiB") as refused:
        read_body(file)
    assert refused.value.status == 413
    assert file.tell() < len(DATA)


def test_what_the_file_raises_comes_through() -> None:
    class Changing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise FileChanged("a.jpg changed while it was read")
            return data

    with pytest.raises(FileChanged, match=r"a\.jpg"):
        read_body(Changing(DATA))
