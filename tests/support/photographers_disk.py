"""A photographer's disk: RAW and JPEG, Live Photos, bursts, a bracket, edits, a Google Takeout,
exports of Lightroom, the phone's backup twice, and sidecars.

The pictures are generated; their metadata is what cameras and phones write. What a person would
make of the disk is in ``tests/promises/photographers_disk.yaml``.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance
from PIL.TiffImagePlugin import IFDRational

from tests.support.camera import NOON, frame, taken
from tests.support.pictures import encode, photo
from tests.support.raw_pictures import TAKEN, dng

#: The camera is the one that ``raw_pictures`` names.
CAMERA = {"Make": "Snoop", "Model": "Snoop One"}
PHONE = {"Make": "Apple", "Model": "iPhone 14", "BodySerialNumber": None}

#: The size of the camera's and of the phone's pictures.
CAMERA_SIZE, PHONE_SIZE = (960, 640), (960, 720)

_MINUTE = 60.0
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One press of the button, so many seconds after ``NOON``. ``scene`` seeds the picture.
    ``tags``: what is written into its files, as for ``camera_exif``."""

    scene: int
    seconds: float
    tags: dict[str, Any] = field(default_factory=dict)

    @property
    def taken_at(self) -> datetime:
        """When the button was pressed."""
        return NOON + timedelta(seconds=self.seconds)


def build(root: Path) -> None:
    """Write the disk into this empty folder."""
    disk = _Disk(root)
    _write_camera(disk)
    _write_phone(disk)
    _write_takeout(disk)
    for days, folder in ((30, "Backup 2024-06"), (250, "Backup 2025-01")):
        for name in ("IMG_1001.HEIC", "IMG_1001.MOV", "IMG_1002.JPG", "IMG_1002.MOV"):
            disk.copy(f"Phone/{name}", f"{folder}/{name}", days * _DAY)
        for name in ("IMG_3001.HEIC", "IMG_E3001.JPG", "IMG_3001.AAE", "IMG_2001.JPG"):
            disk.copy(f"Phone/{name}", f"{folder}/{name}", days * _DAY)


def _write_camera(disk: _Disk) -> None:
    """RAW and JPEG in one folder and in sibling folders, exports, sidecars and a bracket."""
    shots = {scene: Shot(scene, scene * _MINUTE, CAMERA) for scene in range(1, 7)}
    for number in (1, 2, 3):
        disk.jpeg(f"2024 Rome/DSC_000{number}.JPG", shots[number], CAMERA_SIZE)
    for number in (1, 2, 3, 4):
        disk.raw(f"2024 Rome/DSC_000{number}.NEF", shots[number])
    for name in ("DSC_0002.JPG_original", "DSC_0003.xmp", "DSC_0003.JPG.xmp", "DSC_0003.NEF.pp3"):
        disk.write(f"2024 Rome/{name}", name.encode())
    for name, scene in (("Rome at night", 1), ("Forum", 4)):
        shot = Shot(scene, shots[scene].seconds, {**CAMERA, "Software": "Lightroom"})
        disk.jpeg(f"2024 Rome/Export/{name}.jpg", shot, (480, 320))
    for number in (5, 6):
        disk.raw(f"2024 Alps/RAW/DSC_010{number}.DNG", shots[number])
        disk.jpeg(f"2024 Alps/JPG/DSC_010{number}.JPG", shots[number], CAMERA_SIZE)
    # The camera has counted to 9999 and began again.
    disk.jpeg("2025 Sea/DSC_0105.JPG", Shot(8, 400 * _DAY, CAMERA), CAMERA_SIZE)
    for number, stops in enumerate((-1, 0, 1)):
        exposure = {"ExposureTime": IFDRational(2**number, 500), "ExposureBiasValue": float(stops)}
        shot = Shot(7, 20 * _MINUTE + number, {**CAMERA, **exposure})
        lit = ImageEnhance.Brightness(photo(7, CAMERA_SIZE)).enhance(1.25**stops)
        disk.jpeg(f"2024 Alps/JPG/DSC_011{number}.JPG", shot, lit)


def _write_phone(disk: _Disk) -> None:
    """Live Photos, a burst, an edit, and what a messenger made of a picture."""
    shots = {scene: Shot(scene, _DAY + scene * _MINUTE, PHONE) for scene in range(9, 14)}
    disk.heic("Phone/IMG_1001.HEIC", shots[9])
    disk.jpeg("Phone/IMG_1002.JPG", shots[10], PHONE_SIZE)
    for name in ("IMG_1001.MOV", "IMG_1002.MOV"):
        disk.write(f"Phone/{name}", b"video " + name.encode())
    disk.heic("Phone/IMG_1003.HEIC", shots[11])
    small = encode(photo(11, (640, 480)), quality=70)
    disk.write("WhatsApp/IMG-20240503-WA0001.jpg", small, 2 * _DAY)
    for number in range(1, 6):
        shot = Shot(12, shots[12].seconds + 0.15 * number, PHONE)
        disk.jpeg(f"Phone/IMG_200{number}.JPG", shot, frame(12, 4 * number, PHONE_SIZE))
    disk.heic("Phone/IMG_3001.HEIC", shots[13])
    edit = ImageEnhance.Contrast(photo(13, PHONE_SIZE)).enhance(1.3)
    disk.jpeg("Phone/IMG_E3001.JPG", shots[13], edit)
    disk.write("Phone/IMG_3001.AAE", b"how it was edited")


def _write_takeout(disk: _Disk) -> None:
    """An export of Google Photos: by year, and once more by album."""
    year, album = "Takeout/Google Photos/Photos from 2023", "Takeout/Google Photos/Oslo 2023"
    shot = Shot(14, -300 * _DAY, PHONE)
    disk.jpeg(f"{year}/IMG_4001.jpg", shot, PHONE_SIZE)
    edit = ImageEnhance.Brightness(photo(14, PHONE_SIZE)).enhance(1.2)
    disk.jpeg(f"{year}/IMG_4001-edited.jpg", shot, edit)
    disk.jpeg(f"{year}/IMG_4001(1).jpg", Shot(15, -290 * _DAY, PHONE), PHONE_SIZE)
    for name in ("metadata.json", "metadata(1).json"):
        disk.write(f"{year}/IMG_4001.jpg.supplemental-{name}", name.encode())
    for name in ("IMG_4001.jpg", "IMG_4001.jpg.supplemental-metadata.json"):
        disk.copy(f"{year}/{name}", f"{album}/{name}", 0)
    year = "Takeout/Google Photos/Photos from 2024"
    disk.copy("Phone/IMG_1002.JPG", f"{year}/IMG_1002.JPG", 300 * _DAY)
    for name in ("IMG_1002.MP4", "IMG_1002.JPG.supplemental-metadata.json"):
        disk.write(f"{year}/{name}", name.encode())


class _Disk:
    """Writes files below a folder, each modified so many seconds after ``NOON``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, data: bytes, seconds: float = 0) -> None:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        modified_at = (NOON + timedelta(seconds=seconds)).timestamp()
        os.utime(file, (modified_at, modified_at))

    def copy(self, path: str, new_path: str, seconds: float) -> None:
        self.write(new_path, (self._root / path).read_bytes(), seconds)

    def jpeg(self, path: str, shot: Shot, shown: Image.Image | tuple[int, int]) -> None:
        """A JPEG of this shot: of its scene in a size, or of this picture."""
        picture = shown if isinstance(shown, Image.Image) else photo(shot.scene, shown)
        self.write(path, taken(picture, shot.seconds, quality=92, **shot.tags), shot.seconds)

    def heic(self, path: str, shot: Shot) -> None:
        picture = photo(shot.scene, PHONE_SIZE)
        self.write(path, taken(picture, shot.seconds, "HEIF", **shot.tags), shot.seconds)

    def raw(self, path: str, shot: Shot) -> None:
        """A RAW file, with the preview that cameras put into it and a few more pixels."""
        preview = io.BytesIO()
        photo(shot.scene, (480, 320)).save(preview, "JPEG", quality=90)
        data = dng(preview.getvalue(), sensor=(972, 648))
        time = shot.taken_at.strftime("%Y:%m:%d %H:%M:%S")
        self.write(path, data.replace(TAKEN.encode(), time.encode()), shot.seconds)
