"""Damaged files of the formats that Pillow and pillow-heif do not decode, in real decoders."""

from __future__ import annotations

import random

import pytest

from snoopsync.core.errors import Refused
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.source import read_picture
from tests.decoding.helpers import PLAIN
from tests.support.hostile_pictures import damaged, newer

_SEEDS = 600

#: Files that begin like a picture and are none.
_OTHERS = {
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect/></svg>",
    "SVG with a declaration": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "compressed SVG": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "Sigma X3F": b"FOVb" + bytes(400),
    "Phase One": b"IIII" + bytes(400),
    "film": b"\0\0\0\x18ftypqt  " + bytes(400),
}


def test_damaged_files_are_decoded_or_refused_with_a_reason(decoders: Decoders) -> None:
    refused = 0
    for seed in range(_SEEDS):
        with read_picture(damaged(random.Random(seed), newer()) or b"\0") as picture:
            try:
                features = decoders.extract_features(picture)
                assert features.width and features.height
            except Refused as refusal:
                assert refusal.status in (413, 415) and refusal.message, seed
                refused += 1
    assert refused > _SEEDS / 4
    with read_picture(PLAIN) as picture:
        assert decoders.extract_features(picture).kind == "PNG"


@pytest.mark.parametrize("content", _OTHERS.values(), ids=_OTHERS)
def test_other_files_are_refused_whatever_their_name_is(decoders: Decoders, content: bytes) -> None:
    with read_picture(content) as picture, pytest.raises(Refused, match="not a supported picture"):
        decoders.extract_features(picture)
