"""A sample of each codec."""

from __future__ import annotations

import io

import pytest

from snoopsync.decoding.decode import features_of
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.formats import KINDS
from snoopsync.decoding.samples import samples
from snoopsync.decoding.source import read_picture
from tests.decoding.helpers import extract


@pytest.mark.parametrize("codec", samples())
def test_each_codec_gives_the_same_result_in_the_sandbox(decoders: Decoders, codec: str) -> None:
    content = samples()[codec]
    with read_picture(content) as picture:
        assert decoders.extract_features(picture) == features_of(
            io.BytesIO(content), picture.sha256
        )


def test_each_format_has_a_sample() -> None:
    """Its code would otherwise have to be loaded inside the sandbox."""
    assert {extract(content).kind for content in samples().values()} == KINDS
