"""What a camera wrote into a picture's file. Runs in the sandbox only."""

from __future__ import annotations

import io
from datetime import datetime

from PIL import ExifTags, Image

from snoopsync.decoding.decode import no_warnings, refusing
from snoopsync.decoding.layout import Metadata
from snoopsync.decoding.opening import open_picture

#: When the picture was taken, or digitised. The date in the main directory is that of the last
#: change.
_TIMES = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized)


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


def _taken_at(exif: Image.Exif) -> str:
    photograph = exif.get_ifd(ExifTags.IFD.Exif)
    for tag in _TIMES:
        text = str(photograph.get(tag, "")).rstrip("\0 ")
        try:
            return datetime.strptime(text, "%Y:%m:%d %H:%M:%S").isoformat()  # noqa: DTZ007 - no zone
        except ValueError:
            continue
    return ""


def _camera(exif: Image.Exif) -> str:
    make, model = (
        " ".join(str(exif.get(tag, "")).replace("\0", " ").split())
        for tag in (ExifTags.Base.Make, ExifTags.Base.Model)
    )
    # Many models begin with the make.
    is_named = model.lower().startswith(make.lower().partition(" ")[0])
    return model if model and is_named else f"{make} {model}".strip()
