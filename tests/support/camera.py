"""Pictures with the metadata that a camera writes, and bursts of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from tests.support.pictures import encode, photo

NOON = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - cameras write no zone


def camera_exif(seconds: float = 0.0, **changed: Any) -> Image.Exif:
    """What a camera writes about a shot, so many seconds after noon. ``changed``: other values of
    tags, by Pillow's names; ``None`` for a tag that is missing."""
    time = NOON + timedelta(seconds=seconds)
    exif = Image.Exif()
    main: dict[str, Any] = {"Make": "Canon", "Model": "Canon EOS R5"}
    photograph: dict[str, Any] = {
        "DateTimeOriginal": time.strftime("%Y:%m:%d %H:%M:%S"),
        "SubsecTimeOriginal": f"{time.microsecond // 10_000:02}",
        "BodySerialNumber": "0123",
        "ExposureTime": IFDRational(1, 250),
        "ExposureBiasValue": IFDRational(0, 1),
    }
    for name, value in (main | photograph | changed).items():
        directory = exif if name in main else exif.get_ifd(ExifTags.IFD.Exif)
        if value is not None:
            directory[ExifTags.Base[name]] = value
    return exif


def taken(
    picture: Image.Image,
    seconds: float = 0.0,
    kind: str = "JPEG",
    quality: int = 90,
    **changed: Any,
) -> bytes:
    """The picture in a file with the metadata of ``camera_exif``."""
    return encode(picture, kind, quality=quality, exif=camera_exif(seconds, **changed))


def frame(scene: int, number: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """The view of a camera that moves a little between two shots: alike, but not the same."""
    margin = 20
    view = photo(scene, (size[0] + margin, size[1] + margin))
    left, top = number % margin, number // margin % margin
    return view.crop((left, top, left + size[0], top + size[1]))
