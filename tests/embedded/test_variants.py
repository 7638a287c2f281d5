"""Variants of a picture, and their codes."""

from __future__ import annotations

import numpy as np

from snoopsync.decoding import pdq
from snoopsync.embedded import variants
from snoopsync.embedded.kinds import MatchKind


def test_the_code_of_a_variant_is_the_code_of_its_pixels() -> None:
    luma = np.random.default_rng(1).uniform(0, 255, (64, 64))
    codes = variants.variant_codes(luma)
    assert len(codes) == len(variants.VARIANT_KINDS)
    whole = variants.Crop(MatchKind.CROPPED, variants.WHOLE, variants.WHOLE)
    for code, crop in zip(codes, variants.CROPS, strict=False):
        lines, columns = (
            variants._sampling(span, crop.has_bar) for span in (crop.lines, crop.columns)
        )
        assert code.tobytes() == pdq.eight_codes(lines @ luma @ columns.T)[:32]
        assert crop != whole
    assert len(set(variants.CROPS)) == len(variants.CROPS)
    np.testing.assert_allclose(variants._sampling(variants.WHOLE), np.eye(64))
