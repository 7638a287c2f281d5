"""Renders a picture for people: upright, in sRGB, small or in full. Runs in the sandbox only."""

from __future__ import annotations

import io
from typing import BinaryIO

from PIL import Image

from snoopsync.core.errors import Refused, Undecodable
from snoopsync.decoding import tiff
from snoopsync.decoding.colours import in_srgb, profile_of
from snoopsync.decoding.decode import (
    TO_UPRIGHT,
    load,
    no_warnings,
    orientation_of,
    refusing,
)
from snoopsync.decoding.layout import (
    MAX_RENDERED_PIXELS,
    MAX_RENDERED_SIDE,
    METADATA_QUESTION,
    QUESTION,
    Rendering,
    pack_metadata,
    pack_refusal,
    pack_rendering,
)
from snoopsync.decoding.metadata import metadata_of
from snoopsync.decoding.opening import open_picture
from snoopsync.decoding.pixels import eight_bits, opacity_of
from snoopsync.decoding.samples import samples


def draw(picture: BinaryIO, question: bytes) -> bytes:
    """The answer (see ``layout``) to a question for the pixels or the metadata of this picture."""
    try:
        content = io.BytesIO(picture.read())
        if question == METADATA_QUESTION:
            return pack_metadata(metadata_of(content))
        (side,) = QUESTION.unpack(question)
        return pack_rendering(render(content, side))
    except Refused as refusal:
        return pack_refusal(refusal)
    except MemoryError:
        return pack_refusal(Undecodable("takes too much memory to decode", status=413))


def draw_prepare() -> None:
    """Render a picture of each codec, so that nothing has to be loaded later."""
    for sample in samples().values():
        for question in (QUESTION.pack(0), METADATA_QUESTION):
            draw(io.BytesIO(sample), question)


def render(content: io.BytesIO, side: int) -> Rendering:
    """The picture in ``content``, which is at its start, with at most ``side`` pixels along each
    side; in full if ``side`` is 0. Of several frames it is the first one.

    Raises ``Refused`` as ``features_of`` does.
    """
    with no_warnings:
        try:
            return _rendered(content, side)
        except Refused as refusal:
            content.seek(0)
            bare = tiff.without_metadata(content) if refusal.status == 415 else None
            if bare is None:
                raise
            return _rendered(bare, side)


def _rendered(content: io.BytesIO, side: int) -> Rendering:
    with refusing():
        image = open_picture(content, lambda jpeg: _shrink(jpeg, side)).image
        with refusing(str(image.format)):
            load(image)
            # Pillow turned a TIFF upright while loading.
            orientation = 1 if image.format == "TIFF" else orientation_of(image)
            profile = profile_of(image)
            if profile is None:
                image = eight_bits(image, is_inverted=tiff.is_inverted(image))
            fitted = _fitted(image, side)
            picture = (profile and in_srgb(fitted, profile)) or eight_bits(fitted)
            if orientation in TO_UPRIGHT:
                picture = picture.transpose(TO_UPRIGHT[orientation])
            if picture.mode == "RGBA" and opacity_of(picture) is None:
                picture = picture.convert("RGB")
            return Rendering(*picture.size, picture.mode == "RGBA", picture.tobytes())


def _shrink(jpeg: Image.Image, side: int) -> None:
    if side:
        jpeg.draft(None, _fitting(jpeg.size, side))


def _fitting(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size in pixels at which a picture of this size is rendered."""
    width, height = size
    if side:
        scale = min(1.0, side / max(size))
        return max(1, round(width * scale)), max(1, round(height * scale))
    by_pixels = (MAX_RENDERED_PIXELS / (width * height)) ** 0.5
    scale = min(1.0, MAX_RENDERED_SIDE / max(size), by_pixels)
    # Rounded down: the product must not exceed the limit.
    return max(1, int(width * scale)), max(1, int(height * scale))


def _fitted(image: Image.Image, side: int) -> Image.Image:
    size = _fitting(image.size, side)
    if size == image.size:
        return image
    # Pillow weights each colour by its opacity, so the colour of transparent pixels does not count.
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
