"""Pictures in a wide gamut are described in the colours that people see."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageCms, ImageEnhance

from snoopsync.decoding.colours import is_srgb
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.features import Features
from snoopsync.decoding.source import read_picture
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo
from tests.support.wide_gamut import adobe_rgb, as_wide_gamut

PICTURE = ImageEnhance.Color(photo(1, (480, 360))).enhance(4)
ORIGINAL = encode(PICTURE, quality=92)
WIDE = as_wide_gamut(PICTURE)


def shades(features: Features, *, of_colour: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    assert features.thumbnail is not None
    values = features.thumbnail.colour if of_colour else features.thumbnail.grey
    return np.frombuffer(values, np.uint8).astype(np.float64)


@pytest.mark.parametrize("of_colour", [False, True])
def test_a_wide_gamut_is_described_in_srgb(of_colour: bool) -> None:
    original, wide = (shades(extract(data), of_colour=of_colour) for data in (ORIGINAL, WIDE))
    assert np.abs(original - wide).mean() < 1


def test_without_its_profile_it_would_be_described_in_other_colours() -> None:
    # The marker of the profile becomes that of a comment.
    without = WIDE.replace(b"ICC_PROFILE", b"ICC_NOTHING")
    original, wide = (shades(extract(data), of_colour=True) for data in (ORIGINAL, without))
    assert np.abs(original - wide).mean() > 3


def test_a_decoder_applies_the_profile_in_the_sandbox(decoders: Decoders) -> None:
    with read_picture(WIDE) as picture:
        assert decoders.extract_features(picture) == extract(WIDE)


def test_the_profile_of_srgb_changes_nothing() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert is_srgb(profile)
    assert not is_srgb(adobe_rgb())
    named = extract(encode(PICTURE, quality=92, icc_profile=profile))
    assert named.thumbnail == extract(ORIGINAL).thumbnail


def test_transparency_stays() -> None:
    picture = PICTURE.convert("RGBA")
    picture.putalpha(PICTURE.convert("L"))
    plain = extract(encode(picture, "WEBP", lossless=True))
    wide = extract(encode(picture, "WEBP", lossless=True, icc_profile=adobe_rgb()))
    assert plain.thumbnail is not None
    assert wide.thumbnail is not None
    assert plain.thumbnail.alpha == wide.thumbnail.alpha != b""
    assert plain.thumbnail.colour != wide.thumbnail.colour


def test_a_damaged_profile_leaves_the_colours_as_they_are() -> None:
    damaged = extract(encode(PICTURE, quality=92, icc_profile=b"no profile" * 20))
    assert damaged.thumbnail == extract(ORIGINAL).thumbnail
