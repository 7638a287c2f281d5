"""What a camera wrote into a picture's file. Runs in the sandbox only."""

from __future__ import annotations

import io
import math
from datetime import datetime
from typing import Any

from PIL import ExifTags, Image

from snoopsync.core.shots import Shot
from snoopsync.decoding.decode import no_warnings, refusing
from snoopsync.decoding.layout import Metadata
from snoopsync.decoding.opening import open_picture
from snoopsync.decoding.shots import MOST_BIAS, MOST_BYTES, MOST_DIGITS, MOST_SECONDS

#: When the picture was taken, or digitised. The date in the main directory is that of the last
#: change.
_TIMES = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized)
_FRACTIONS = (ExifTags.Base.SubsecTimeOriginal, ExifTags.Base.SubsecTimeDigitized)


def metadata_of(content: io.BytesIO) -> Metadata:
    """The metadata of the picture in ``content``, which is at its start. Raises ``Refused`` as
    ``features_of`` does."""
    with no_warnings, refusing():
        image = open_picture(content).image
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        try:
            exif = image.getexif()
            return Metadata(kind, _taken_at(exif), _camera(exif))
        except Exception:  # parsers of metadata raise anything
            return Metadata(kind, "", "")


def shot_of(content: io.BytesIO) -> Shot:
    """What a camera wrote about the shot into the picture in ``content``, which is at its start.
    Raises ``Refused`` as ``features_of`` does."""
    with no_warnings, refusing():
        image = open_picture(content).image
        try:
            return _shot(image.getexif())
        except Exception:  # parsers of metadata raise anything
            return Shot()


def _shot(exif: Image.Exif) -> Shot:
    photograph = exif.get_ifd(ExifTags.IFD.Exif)
    taken_at, fraction = _time(exif)
    return Shot(
        _text(exif.get(ExifTags.Base.Make), MOST_BYTES),
        _text(exif.get(ExifTags.Base.Model), MOST_BYTES),
        _text(photograph.get(ExifTags.Base.BodySerialNumber), MOST_BYTES),
        taken_at,
        fraction if fraction.isascii() and fraction.isdigit() else "",
        _text(photograph.get(ExifTags.Base.ImageUniqueID), MOST_BYTES),
        _number(photograph.get(ExifTags.Base.ExposureTime), 0.0, MOST_SECONDS),
        _number(photograph.get(ExifTags.Base.ExposureBiasValue), -MOST_BIAS, MOST_BIAS),
    )


def _taken_at(exif: Image.Exif) -> str:
    taken_at, _ = _time(exif)
    return "" if taken_at is None else taken_at.isoformat()


def _time(exif: Image.Exif) -> tuple[datetime | None, str]:
    """When the picture was taken, and the digits of the fraction of that second."""
    photograph = exif.get_ifd(ExifTags.IFD.Exif)
    for tag, fraction in zip(_TIMES, _FRACTIONS, strict=True):
        text = str(photograph.get(tag, "")).rstrip("\0 ")
        try:
            taken_at = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - no zone
        except ValueError:
            continue
        return taken_at, _text(photograph.get(fraction), MOST_DIGITS)
    return None, ""


def _text(value: object, most: int) -> str:
    """The value as one line of at most so many bytes in UTF-8."""
    text = "" if value is None else " ".join(str(value).replace("\0", " ").split())
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def _number(value: Any, lowest: float, highest: float) -> float | None:
    """The value as a number; ``None`` if it is none, or out of range."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and lowest <= number <= highest else None


def _camera(exif: Image.Exif) -> str:
    make, model = (
        " ".join(str(exif.get(tag, "")).replace("\0", " ").split())
        for tag in (ExifTags.Base.Make, ExifTags.Base.Model)
    )
    # Many models begin with the make.
    is_named = model.lower().startswith(make.lower().partition(" ")[0])
    return model if model and is_named else f"{make} {model}".strip()
