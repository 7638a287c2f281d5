"""A messy archive for the review page: pictures, copies and other versions of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from tests.support.pictures import encode, photo
from tests.support.process import Installation


class Archive:
    """A mirrored folder. Each method that writes returns the path of the file."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.installation.configure()

    def write(self, name: str | bytes, data: bytes, *, age_days: int = 0) -> Path:
        """Write a file of so many days of age."""
        path = self.installation.pictures / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        written = path.stat().st_mtime - 86_400 * age_days
        os.utime(path, (written, written))
        return path

    def original(self, name: str | bytes, seed: int, width: int = 640) -> Path:
        """A photograph, old, of high quality."""
        data = encode(picture_of(seed, width), quality=92)
        return self.write(name, data, age_days=400)

    def copy(self, name: str | bytes, of: Path) -> Path:
        """A file with the same bytes, newer."""
        return self.write(name, of.read_bytes(), age_days=3)

    def smaller(self, name: str | bytes, seed: int, width: int = 320) -> Path:
        """The photograph with fewer pixels."""
        return self.write(name, encode(picture_of(seed, width), quality=75), age_days=30)

    def mirrored(self, name: str | bytes, seed: int, width: int = 640) -> Path:
        """The photograph mirrored, with fewer pixels."""
        data = encode(ImageOps.mirror(picture_of(seed, width - 100)), quality=80)
        return self.write(name, data, age_days=20)

    def resync(self) -> None:
        """Mirror the folder and search for duplicates."""
        done = self.installation.run("resync")
        assert done.code in (0, 3, 4), done

    def groups(self) -> list[dict[str, Any]]:
        """The open groups, as ``duplicates --json`` lists them."""
        listed: list[dict[str, Any]] = self.installation.json("duplicates", "--json")
        return listed


def picture_of(seed: int, width: int) -> Image.Image:
    """The photograph with this seed, 4 x 3."""
    return photo(seed, (width, width * 3 // 4))
