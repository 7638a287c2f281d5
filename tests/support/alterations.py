"""What people do to pictures: named alterations, with the kind that a person would call each.

The same picture and seed give the same bytes, with the same version of Pillow and its encoders.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from PIL import ExifTags, Image, ImageEnhance, ImageFilter, ImageOps

from tests.support import hard_alterations as hard
from tests.support.lettering import bar_of_text, draw_logo, draw_outlined, draw_watermark
from tests.support.pictures import encode

#: Makes another picture of a picture, with random numbers for this alteration of this picture.
Change = Callable[[Image.Image, random.Random], Image.Image]

#: The quality of alterations that are not about encoding: the default of most programs.
_JPEG_QUALITY = 85

#: A picture whose ratio differs from a frame's by less than this would get invisible bars.
_SAME_RATIO = 0.03

_BORDER_COLOURS = {"white": "#ffffff", "black": "#000000", "coloured": "#b03a2e"}


@dataclass(frozen=True, slots=True)
class Alteration:
    """One thing that people do to a picture.

    ``group`` names alterations with the same purpose. ``kinds`` (of ``protocol.KINDS``) are the
    right kinds of a match: mostly one, several where people differ.
    """

    name: str
    group: str
    kinds: frozenset[str]
    _change: Change
    _save: Callable[[Image.Image], bytes]

    def apply(self, picture: Image.Image, seed: int) -> bytes:
        """The altered picture as the bytes of a file. ``picture`` is RGB and does not change;
        ``seed`` chooses sides, places and amounts that the name leaves open."""
        return self._save(self._change(picture, random.Random(f"{self.name} {seed}")))


def alterations() -> Iterator[Alteration]:
    """All alterations, group by group. Their names are unique."""
    yield from _encodings()
    yield from _sizes()
    yield from _colours()
    yield from _marks()
    yield from _crops()
    yield from _turns()
    yield from _borders()
    yield from _captions()
    yield from _tilts()
    yield from _hard_ones()


def original(picture: Image.Image) -> bytes:
    """The unaltered picture as a camera writes it."""
    return encode(picture, quality=92)


def _same(picture: Image.Image, _: random.Random) -> Image.Image:
    return picture


def _as_jpeg(picture: Image.Image) -> bytes:
    return encode(picture, quality=_JPEG_QUALITY)


def _make(
    name: str,
    group: str,
    kinds: str,
    change: Change = _same,
    save: Callable[[Image.Image], bytes] = _as_jpeg,
) -> Alteration:
    return Alteration(name, group, frozenset(kinds.split()), change, save)


def _encodings() -> Iterator[Alteration]:
    yield _make("the same file", "the same", "identical", save=original)
    for quality in (75, 40, 10):
        save = partial(encode, quality=quality)
        yield _make(f"JPEG q{quality}", "encoded again", "reencoded", save=save)
    # A lossless copy may also count as identical.
    png = partial(encode, kind="PNG", compress_level=1)
    yield _make("PNG", "other formats", "identical reencoded", save=png)
    for name, save in {
        "WebP q30": partial(encode, kind="WEBP", quality=30, method=2),
        "AVIF": partial(encode, kind="AVIF", quality=50, speed=9),
        # The default preset takes ten times as long, a second for each picture.
        "HEIC": partial(encode, kind="HEIF", quality=50, enc_params={"preset": "ultrafast"}),
        "GIF": partial(encode, kind="GIF"),
    }.items():
        yield _make(name, "other formats", "reencoded", save=save)


def _sizes() -> Iterator[Alteration]:
    for name, factor in {"half size": 0.5, "quarter size": 0.25, "1.5 times": 1.5}.items():
        yield _make(name, "other sizes", "reencoded", partial(_scaled, factor=factor))
    yield _make("120 px wide", "other sizes", "reencoded", _thumbnail)


def _scaled(picture: Image.Image, _: random.Random, factor: float) -> Image.Image:
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _thumbnail(picture: Image.Image, dice: random.Random) -> Image.Image:
    return _scaled(picture, dice, 120 / picture.width)


def _colours() -> Iterator[Alteration]:
    changes: dict[str, Change] = {
        "grey": lambda picture, _: picture.convert("L"),
        "brightness -20 %": lambda picture, _: ImageEnhance.Brightness(picture).enhance(0.8),
        "brightness +20 %": lambda picture, _: ImageEnhance.Brightness(picture).enhance(1.2),
        "contrast -20 %": lambda picture, _: ImageEnhance.Contrast(picture).enhance(0.8),
        "contrast +20 %": lambda picture, _: ImageEnhance.Contrast(picture).enhance(1.2),
        "gamma 0.7": partial(_gamma, exponent=0.7),
        "gamma 1.4": partial(_gamma, exponent=1.4),
        "saturation +50 %": lambda picture, _: ImageEnhance.Color(picture).enhance(1.5),
        "saturation -50 %": lambda picture, _: ImageEnhance.Color(picture).enhance(0.5),
        "warm tint": partial(_tinted, gains=(1.15, 1.0, 0.8)),
        "cold tint": partial(_tinted, gains=(0.85, 0.97, 1.15)),
        "sepia": lambda picture, _: ImageOps.colorize(picture.convert("L"), "#1a0f00", "#ffefd0"),
    }
    for name, change in changes.items():
        yield _make(name, "recoloured", "recoloured", change)


def _gamma(picture: Image.Image, _: random.Random, exponent: float) -> Image.Image:
    return picture.point([round(255 * (level / 255) ** exponent) for level in range(256)] * 3)


def _tinted(
    picture: Image.Image, _: random.Random, gains: tuple[float, float, float]
) -> Image.Image:
    return picture.point([min(255, round(level * gain)) for gain in gains for level in range(256)])


def _marks() -> Iterator[Alteration]:
    yield _make("watermark across", "marked", "edited", draw_watermark)
    yield _make("logo in a corner", "marked", "edited", draw_logo)


def _crops() -> Iterator[Alteration]:
    ways = {"centred": _crop_centred, "off-centre": _crop_off_centre, "one side": _crop_one_side}
    for percent in (2, 5, 10):
        for way, crop in ways.items():
            change = partial(crop, share=percent / 100)
            yield _make(f"crop {percent} % {way}", "cropped", "cropped", change)


def _crop_centred(picture: Image.Image, _: random.Random, share: float) -> Image.Image:
    """Remove this share of width and of height, half of it at each side."""
    across, down = picture.width * share / 2, picture.height * share / 2
    return _crop(picture, across, down, across, down)


def _crop_off_centre(picture: Image.Image, dice: random.Random, share: float) -> Image.Image:
    """Remove this share of width and of height, each at one side."""
    across, down = picture.width * share, picture.height * share
    left, top = dice.choice((0, across)), dice.choice((0, down))
    return _crop(picture, left, top, across - left, down - top)


def _crop_one_side(picture: Image.Image, dice: random.Random, share: float) -> Image.Image:
    """Remove this share of the width or of the height, at one side."""
    lost = [0.0, 0.0, 0.0, 0.0]
    side = dice.randrange(4)
    lost[side] = share * (picture.height if side % 2 else picture.width)
    return _crop(picture, *lost)


def _crop(
    picture: Image.Image, left: float, top: float, right: float, bottom: float
) -> Image.Image:
    width, height = picture.size
    return picture.crop((round(left), round(top), round(width - right), round(height - bottom)))


def _turns() -> Iterator[Alteration]:
    turns = {
        90: Image.Transpose.ROTATE_90,
        180: Image.Transpose.ROTATE_180,
        270: Image.Transpose.ROTATE_270,
    }
    # EXIF's orientation names the side of the scene that the first line shows.
    by_exif = {90: 8, 180: 3, 270: 6}
    for degrees, turn in turns.items():
        yield _make(f"turned {degrees}", "turned", "rotated", partial(_transposed, how=turn))
    for degrees, orientation in by_exif.items():
        save = partial(_saved_with_exif, orientation=orientation)
        yield _make(f"turned {degrees} by EXIF", "turned", "rotated", save=save)
    # Phones write pictures as the sensor sees them: with the orientation, they look upright.
    yield _make(
        "turned 90, and back by EXIF",
        "turned",
        "reencoded",
        partial(_transposed, how=turns[90]),
        partial(_saved_with_exif, orientation=by_exif[270]),
    )
    for name, how in {
        "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
        "upside down mirrored": Image.Transpose.FLIP_TOP_BOTTOM,
        "transposed": Image.Transpose.TRANSPOSE,
        "transversed": Image.Transpose.TRANSVERSE,
    }.items():
        yield _make(name, "mirrored", "mirrored", partial(_transposed, how=how))


def _transposed(picture: Image.Image, _: random.Random, how: Image.Transpose) -> Image.Image:
    return picture.transpose(how)


def _saved_with_exif(picture: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encode(picture, quality=_JPEG_QUALITY, exif=exif)


def _borders() -> Iterator[Alteration]:
    for percent in (5, 10):
        for name, colour in _BORDER_COLOURS.items():
            change = partial(_bordered, share=percent / 100, colour=colour)
            yield _make(f"border {percent} % {name}", "bordered", "bordered", change)
    wide = partial(_in_frame, ratio=16 / 9, otherwise=4 / 3)
    square = partial(_in_frame, ratio=1.0, otherwise=4 / 5)
    yield _make("letterbox 16:9", "bordered", "bordered", wide)
    yield _make("in a white square", "bordered", "bordered", partial(square, colour="#ffffff"))
    yield _make("in a blurred square", "bordered", "bordered", partial(square, colour=None))


def _bordered(picture: Image.Image, _: random.Random, share: float, colour: str) -> Image.Image:
    """Add a border at each side, as wide as this share of the longer side."""
    return ImageOps.expand(picture, max(1, round(max(picture.size) * share)), colour)


def _in_frame(
    picture: Image.Image,
    _: random.Random,
    ratio: float,
    otherwise: float,
    colour: str | None = "#000000",
) -> Image.Image:
    """Put the whole picture in the middle of a frame with this ratio, or with the ratio
    ``otherwise`` if the picture already has this one. The frame has a colour or, with ``None``,
    shows the picture enlarged and blurred."""
    width, height = picture.size
    if abs(width / height / ratio - 1) < _SAME_RATIO:
        ratio = otherwise
    size = (max(width, round(height * ratio)), max(height, round(width / ratio)))
    if colour is None:
        frame = ImageOps.fit(picture, size).filter(ImageFilter.GaussianBlur(max(size) / 40))
    else:
        frame = Image.new("RGB", size, colour)
    frame.paste(picture, ((size[0] - width) // 2, (size[1] - height) // 2))
    return frame


def _captions() -> Iterator[Alteration]:
    yield _make("caption over the lower 12 %", "captioned over", "edited", _caption_over)
    yield _make("lettering over it", "captioned over", "edited", draw_outlined)
    below = partial(_caption_outside, share=0.12, above=False, paper="#ffffff", ink="#000000")
    above = partial(_caption_outside, share=0.15, above=True, paper="#000000", ink="#ffffff")
    yield _make("caption below, 12 %", "captioned outside", "bordered", below)
    yield _make("caption above, 15 %", "captioned outside", "bordered", above)


def _caption_over(picture: Image.Image, dice: random.Random) -> Image.Image:
    over = picture.copy()
    bar = bar_of_text((picture.width, round(picture.height * 0.12)), dice, "#101010", "#ffffff")
    over.paste(bar, (0, picture.height - bar.height))
    return over


def _caption_outside(
    picture: Image.Image, dice: random.Random, share: float, above: bool, paper: str, ink: str
) -> Image.Image:
    bar = bar_of_text((picture.width, round(picture.height * share)), dice, paper, ink)
    whole = Image.new("RGB", (picture.width, picture.height + bar.height))
    whole.paste(bar, (0, 0 if above else picture.height))
    whole.paste(picture, (0, bar.height if above else 0))
    return whole


def _tilts() -> Iterator[Alteration]:
    for degrees in (1, 3):
        kept, inside = partial(_tilted, degrees=degrees), partial(_straightened, degrees=degrees)
        yield _make(f"tilted {degrees}, black corners", "tilted", "rotated edited", kept)
        yield _make(f"tilted {degrees}, cropped inside", "tilted", "rotated edited", inside)


def _tilted(picture: Image.Image, dice: random.Random, degrees: float) -> Image.Image:
    """Rotate a little to one side, at the same size: the corners of the picture are cut off, and
    those of the frame are black."""
    return picture.rotate(degrees * dice.choice((-1, 1)), Image.Resampling.BICUBIC)


def _straightened(picture: Image.Image, dice: random.Random, degrees: float) -> Image.Image:
    """Rotate a little, and crop to the largest part with the same ratio and without black corners:
    this is how programs straighten a horizon."""
    width, height = picture.size
    angle = math.radians(degrees)
    longer = max(width, height) / min(width, height)
    share = 1 / (math.cos(angle) + longer * math.sin(angle))
    return _crop_centred(_tilted(picture, dice, degrees), dice, 1 - share)


def _hard_ones() -> Iterator[Alteration]:
    """Those of ``hard_alterations``, of which only a part may be left."""
    for percent in (15, 20, 30):
        crop = partial(hard.cropped_area, share=percent / 100)
        yield _make(f"crop {percent} % of the area", "cropped anywhere", "cropped", crop)
    for percent in (20, 30):
        crop = partial(hard.cropped_area, share=1 - (1 - percent / 100) ** 2)
        yield _make(f"crop {percent} % of both sides", "cropped anywhere", "cropped", crop)
    turned = "cropped rotated mirrored"
    yield _make("crop 10 %, turned", "cropped and turned", turned, hard.cropped_and_turned)
    yield _make("screenshot of a phone", "on a screen", "bordered cropped", hard.screenshot)
    screen = "rotated edited bordered cropped recoloured"
    yield _make("photograph of a screen", "on a screen", screen, hard.photographed_screen)
    for count in (2, 4):
        change = partial(hard.collage, count=count)
        yield _make(f"in a collage of {count}", "in a collage", "cropped bordered", change)
    letters = partial(draw_outlined, share=0.16)
    yield _make("large letters over it", "memes", "edited", letters)
    yield _make("large bar above", "memes", "bordered", hard.meme_with_bar)
    yield _make("film look", "looks", "recoloured edited", hard.film_look)
    yield _make("dark corners", "looks", "recoloured edited", hard.vignette)
    for name, scale in {"300 dpi": 1.5, "75 dpi": 0.4}.items():
        scan = partial(hard.scanned_print, scale=scale)
        kinds = "bordered recoloured edited rotated"
        yield _make(f"print, scanned at {name}", "scanned", kinds, scan)
    grey = "recoloured reencoded"
    yield _make("grey with 16 bits", "other depths", grey, save=hard.as_16_bit_grey)
