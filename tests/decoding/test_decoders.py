"""Decoders answer about the bytes that were hashed, or refuse them."""

from __future__ import annotations

import io
import os
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import Refused
from snoopsync.decoding.decode import features_of
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.source import PictureFile, read_picture
from tests.decoding.helpers import LIMITS
from tests.support.pictures import encode, photo


@pytest.mark.parametrize("content", [b"lies", b"talks"])
def test_an_invalid_answer_is_a_refusal(content: bytes) -> None:
    with (
        closing(Decoders(1, LIMITS, "tests.support.decoder_work:by_its_content")) as decoders,
        read_picture(content) as picture,
        pytest.raises(Refused, match="the decoder crashes"),
    ):
        decoders.extract_features(picture)


def test_a_refusal_comes_through_the_sandbox(decoders: Decoders) -> None:
    with read_picture(b"no picture") as picture, pytest.raises(Refused) as refused:
        decoders.extract_features(picture)
    assert refused.value.status == 415


def test_a_picture_cannot_change_after_it_was_read() -> None:
    with read_picture(encode(photo(1))) as picture, pytest.raises(PermissionError):
        os.write(picture.file.fileno(), b"x")


def test_the_decoded_bytes_are_the_hashed_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(photo(1)))
    picture: PictureFile = read_picture(path)
    path.write_bytes(encode(photo(2)))
    with picture, closing(Decoders(1)) as decoders:
        features = decoders.extract_features(picture)
    assert features == features_of(io.BytesIO(encode(photo(1))), picture.sha256)
