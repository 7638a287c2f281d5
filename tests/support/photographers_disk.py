"""A photographer's disk: RAW and JPEG, Live Photos, bursts, a bracket, edits, a Google Takeout,
exports of Lightroom, the phone's backup twice, and sidecars.

The pictures are generated; their metadata is what cameras and phones write. What a person would
make of the disk is in ``tests/promises/photographers_disk.yaml``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageEnhance

from tests.support.pictures import encode, photo
from tests.support.raw_pictures import TAKEN, dng

# Cameras write times without a zone.
# ruff: noqa: DTZ001

_EXIF, _MAKE, _MODEL, _SOFTWARE, _TIME = 0x8769, 0x010F, 0x0110, 0x0131, 0x0132
_TAKEN, _FRACTION, _SERIAL, _SECONDS, _BIAS = 0x9003, 0x9291, 0xA431, 0x829A, 0x9204

#: What the camera and the phone write about themselves: make, model and serial number.
CAMERA = ("Snoop", "Snoop One", "")
PHONE = ("Apple", "iPhone 14", "")

#: The size of the camera's and of the phone's pictures.
CAMERA_SIZE, PHONE_SIZE = (960, 640), (960, 720)


@dataclass(frozen=True, slots=True)
class Shot:
    """One press of the button. ``scene`` seeds the picture. ``fraction``: digits of the second."""

    scene: int
    taken_at: datetime
    camera: tuple[str, str, str]
    fraction: str = ""
    exposure_seconds: float = 0.01
    exposure_bias: float = 0.0

    @classmethod
    def of_burst(cls, scene: int, number: int, camera: tuple[str, str, str]) -> Shot:
        """The shot with this number in a burst of about seven shots a second."""
        milliseconds = 150 * number
        taken_at = datetime(2024, 5, 3, 10, 0, 0) + timedelta(milliseconds=milliseconds)
        return cls(scene, taken_at, camera, f"{milliseconds:03}")

    def exif(self, software: str = "") -> Image.Exif:
        """The metadata of a file of this shot."""
        exif = Image.Exif()
        exif[_MAKE], exif[_MODEL], serial = self.camera
        exif[_TIME] = self.taken
        if software:
            exif[_SOFTWARE] = software
        details = exif.get_ifd(_EXIF)
        details |= {_TAKEN: self.taken, _SECONDS: self.exposure_seconds, _BIAS: self.exposure_bias}
        if self.fraction:
            details[_FRACTION] = self.fraction
        if serial:
            details[_SERIAL] = serial
        return exif

    @property
    def taken(self) -> str:
        """The time as EXIF writes it."""
        return self.taken_at.strftime("%Y:%m:%d %H:%M:%S")


def build(root: Path) -> None:
    """Write the disk into this empty folder."""
    disk = _Disk(root)
    _write_camera(disk)
    _write_phone(disk)
    _write_takeout(disk)
    for number, folder in enumerate(("Backup 2024-06", "Backup 2025-01")):
        later = datetime(2024, 6, 1) + timedelta(days=200 * number)
        for name in ("IMG_1001.HEIC", "IMG_1001.MOV", "IMG_1002.JPG", "IMG_1002.MOV"):
            disk.copy(f"Phone/{name}", f"{folder}/{name}", later)
        for name in ("IMG_3001.HEIC", "IMG_E3001.JPG", "IMG_3001.AAE", "IMG_2001.JPG"):
            disk.copy(f"Phone/{name}", f"{folder}/{name}", later)


def _write_camera(disk: _Disk) -> None:
    """RAW and JPEG in one folder and in sibling folders, exports, sidecars and a bracket."""
    day = datetime(2024, 5, 1, 9, 0, 0)
    shots = {
        number: Shot(number, day + timedelta(minutes=number), CAMERA) for number in range(1, 7)
    }
    for number in (1, 2, 3):
        disk.jpeg(f"2024 Rome/DSC_000{number}.JPG", shots[number], CAMERA_SIZE)
    for number in (1, 2, 3, 4):
        disk.raw(f"2024 Rome/DSC_000{number}.NEF", shots[number])
    for name in ("DSC_0002.JPG_original", "DSC_0003.xmp", "DSC_0003.JPG.xmp", "DSC_0003.NEF.pp3"):
        disk.write(f"2024 Rome/{name}", name.encode(), day)
    for name, number in (("Rome at night", 1), ("Forum", 4)):
        path = f"2024 Rome/Export/{name}.jpg"
        disk.jpeg(path, shots[number], (480, 320), software="Adobe Photoshop Lightroom 13.0")
    for number in (5, 6):
        disk.raw(f"2024 Alps/RAW/DSC_010{number}.DNG", shots[number])
        disk.jpeg(f"2024 Alps/JPG/DSC_010{number}.JPG", shots[number], CAMERA_SIZE)
    # The camera has counted to 9999 and began again.
    disk.jpeg("2025 Sea/DSC_0105.JPG", Shot(8, datetime(2025, 7, 1), CAMERA), CAMERA_SIZE)
    for number, bias in enumerate((-1.0, 0.0, 1.0)):
        taken_at = day + timedelta(hours=1, seconds=number)
        shot = Shot(7, taken_at, CAMERA, "", 0.01 * 2**bias, bias)
        lit = ImageEnhance.Brightness(photo(7, CAMERA_SIZE)).enhance(1.25**bias)
        disk.jpeg(f"2024 Alps/JPG/DSC_011{number}.JPG", shot, picture=lit)


def _write_phone(disk: _Disk) -> None:
    """Live Photos, a burst, an edit, and what a messenger made of a picture."""
    day = datetime(2024, 5, 2, 18, 0, 0)
    shots = {
        number: Shot(number, day + timedelta(minutes=number), PHONE) for number in range(9, 14)
    }
    disk.heic("Phone/IMG_1001.HEIC", shots[9])
    disk.jpeg("Phone/IMG_1002.JPG", shots[10], PHONE_SIZE)
    for name in ("IMG_1001.MOV", "IMG_1002.MOV"):
        disk.write(f"Phone/{name}", b"video " + name.encode(), day)
    disk.heic("Phone/IMG_1003.HEIC", shots[11])
    small = encode(photo(11, (640, 480)), quality=70)
    disk.write("WhatsApp/IMG-20240503-WA0001.jpg", small, day + timedelta(days=1))
    for number in range(1, 6):
        shot = Shot.of_burst(12, number, PHONE)
        picture = ImageChops.offset(photo(12, PHONE_SIZE), 4 * number, 2 * number)
        disk.jpeg(f"Phone/IMG_200{number}.JPG", shot, picture=picture)
    disk.heic("Phone/IMG_3001.HEIC", shots[13])
    edit = ImageEnhance.Contrast(photo(13, PHONE_SIZE)).enhance(1.3)
    disk.jpeg("Phone/IMG_E3001.JPG", shots[13], picture=edit)
    disk.write("Phone/IMG_3001.AAE", b"how it was edited", day)


def _write_takeout(disk: _Disk) -> None:
    """An export of Google Photos: by year, and once more by album."""
    year, album = "Takeout/Google Photos/Photos from 2023", "Takeout/Google Photos/Oslo 2023"
    day = datetime(2023, 8, 1, 12, 0, 0)
    shot = Shot(14, day, PHONE)
    disk.jpeg(f"{year}/IMG_4001.jpg", shot, PHONE_SIZE)
    edit = ImageEnhance.Brightness(photo(14, PHONE_SIZE)).enhance(1.2)
    disk.jpeg(f"{year}/IMG_4001-edited.jpg", shot, picture=edit)
    disk.jpeg(f"{year}/IMG_4001(1).jpg", Shot(15, day + timedelta(days=9), PHONE), PHONE_SIZE)
    for name in ("metadata.json", "metadata(1).json"):
        disk.write(f"{year}/IMG_4001.jpg.supplemental-{name}", name.encode(), day)
    later = day + timedelta(days=100)
    for name in ("IMG_4001.jpg", "IMG_4001.jpg.supplemental-metadata.json"):
        disk.copy(f"{year}/{name}", f"{album}/{name}", later)
    year = "Takeout/Google Photos/Photos from 2024"
    disk.copy("Phone/IMG_1002.JPG", f"{year}/IMG_1002.JPG", datetime(2025, 2, 1))
    for name in ("IMG_1002.MP4", "IMG_1002.JPG.supplemental-metadata.json"):
        disk.write(f"{year}/{name}", name.encode(), datetime(2025, 2, 1))


class _Disk:
    """Writes files below a folder, each with a time of modification."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, data: bytes, at: datetime) -> None:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, (at.timestamp(), at.timestamp()))

    def copy(self, path: str, new_path: str, at: datetime) -> None:
        self.write(new_path, (self._root / path).read_bytes(), at)

    def jpeg(
        self,
        path: str,
        shot: Shot,
        size: tuple[int, int] | None = None,
        *,
        picture: Image.Image | None = None,
        software: str = "",
    ) -> None:
        """A JPEG of this shot, of the scene in this size or of another picture of it."""
        shown = photo(shot.scene, size) if size is not None else picture
        assert shown is not None
        options: Mapping[str, Any] = {"quality": 92, "exif": shot.exif(software)}
        self.write(path, encode(shown, **options), shot.taken_at)

    def heic(self, path: str, shot: Shot) -> None:
        data = encode(photo(shot.scene, PHONE_SIZE), "HEIF", quality=80, exif=shot.exif().tobytes())
        self.write(path, data, shot.taken_at)

    def raw(self, path: str, shot: Shot) -> None:
        """A RAW file, with the preview that cameras put into it and a few more pixels."""
        preview = io.BytesIO()
        photo(shot.scene, (480, 320)).save(preview, "JPEG", quality=90)
        data = dng(preview.getvalue(), sensor=(972, 648))
        self.write(path, data.replace(TAKEN.encode(), shot.taken.encode()), shot.taken_at)
