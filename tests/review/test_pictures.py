"""Which files the page opens, and as what."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.core.errors import PictureRefused
from snoopsync.decoding.samples import samples
from snoopsync.review.pictures import SHOWN_BY_BROWSERS, media_type_of, open_known
from tests.review.known import known
from tests.support.pictures import encode, photo
from tests.support.raw_pictures import camera_raw, preview_jpeg

JPEG = encode(photo(1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    (folder / "trip/a.jpg").write_bytes(JPEG)
    return folder


def test_a_known_picture_is_opened(folder: Path) -> None:
    opened = open_known(known(folder, "trip/a.jpg"))
    with opened.file:
        assert opened.file.read() == JPEG
        assert opened.size_bytes == len(JPEG)
        assert opened.media_type == "image/jpeg"


def test_a_file_that_is_swapped_for_a_link_is_refused(folder: Path) -> None:
    picture = known(folder, "trip/a.jpg")
    (folder / "trip/a.jpg").unlink()
    (folder / "trip/a.jpg").symlink_to("/etc/shadow")
    for unchanged in (True, False):
        with pytest.raises(PictureRefused, match="not a regular file"):
            open_known(picture, unchanged=unchanged)


def test_a_directory_that_is_swapped_for_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    picture = known(folder, "trip/a.jpg")
    (folder / "trip").rename(tmp_path / "elsewhere")
    (folder / "trip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PictureRefused, match="cannot be opened"):
        open_known(picture)


@pytest.mark.parametrize("path", [b"../photos/trip/a.jpg", b"..", b"/etc/shadow", b"trip/.."])
def test_a_path_out_of_the_folder_is_refused(folder: Path, path: bytes) -> None:
    picture = replace(known(folder, "trip/a.jpg"), path=path)
    with pytest.raises(PictureRefused):
        open_known(picture, unchanged=False)


def test_a_fifo_is_refused_without_waiting(folder: Path) -> None:
    picture = known(folder, "trip/a.jpg")
    (folder / "trip/a.jpg").unlink()
    os.mkfifo(folder / "trip/a.jpg")
    with pytest.raises(PictureRefused, match="not a regular file"):
        open_known(picture, unchanged=False)


def test_a_device_is_refused(folder: Path) -> None:
    picture = replace(known(folder, "trip/a.jpg"), root=b"/dev", identity=None, path=b"zero")
    with pytest.raises(PictureRefused, match="not a regular file"):
        open_known(picture, unchanged=False)


def test_a_directory_is_refused(folder: Path) -> None:
    picture = replace(known(folder, "trip/a.jpg"), path=b"trip")
    with pytest.raises(PictureRefused, match="not a regular file"):
        open_known(picture, unchanged=False)


@pytest.mark.parametrize(
    "content",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><svg/>",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"%PDF-1.7",
        b"\0\0\0\x18ftypmp42",
        b"",
    ],
)
def test_other_files_named_as_pictures_are_refused(folder: Path, content: bytes) -> None:
    (folder / "trip/a.jpg").write_bytes(content)
    with pytest.raises(PictureRefused, match="not a picture of a supported format"):
        open_known(known(folder, "trip/a.jpg"))


def test_a_changed_file_is_refused_where_that_matters(folder: Path) -> None:
    picture = known(folder, "trip/a.jpg")
    (folder / "trip/a.jpg").write_bytes(encode(photo(2)))
    with pytest.raises(PictureRefused, match="has changed"):
        open_known(picture)
    open_known(picture, unchanged=False).file.close()


def test_a_file_that_is_gone_is_refused(folder: Path) -> None:
    picture = known(folder, "trip/a.jpg")
    (folder / "trip/a.jpg").unlink()
    with pytest.raises(PictureRefused, match="the file is gone"):
        open_known(picture)


def test_a_folder_that_is_gone_is_refused(folder: Path, tmp_path: Path) -> None:
    picture = known(folder, "trip/a.jpg")
    folder.rename(tmp_path / "other")
    with pytest.raises(PictureRefused, match="the folder is missing"):
        open_known(picture)


def test_another_directory_in_the_place_of_the_folder_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    picture = known(folder, "trip/a.jpg")
    if picture.identity is None or not picture.identity.file_system:
        pytest.skip("this file system has no ID of its own")
    folder.rename(tmp_path / "other")
    (folder / "trip").mkdir(parents=True)
    os.link(tmp_path / "other/trip/a.jpg", folder / "trip/a.jpg")
    with pytest.raises(PictureRefused, match="another directory"):
        open_known(picture)


def test_names_of_any_bytes_are_opened(folder: Path) -> None:
    name = b"\xff\n\xc3\x28 '\".jpg"
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(JPEG)
    open_known(known(folder, name)).file.close()


#: What the samples are called whose media type has another name.
NAMES = {"MPO": "JPEG", "DNG": "TIFF", "JPEG XL": "JXL", "PSD": "VND.ADOBE.PHOTOSHOP"}


@pytest.mark.parametrize("codec", samples())
def test_the_media_type_is_that_of_the_content(codec: str) -> None:
    media_type = media_type_of(samples()[codec][:64])
    assert media_type is not None
    kind = media_type.removeprefix("image/").upper()
    words = codec.upper()
    for name, usual in NAMES.items():
        words = words.replace(name, usual)
    assert kind in words.split()
    shown = {"JPEG", "PNG", "GIF", "WEBP", "AVIF"}
    assert (media_type in SHOWN_BY_BROWSERS) == (kind in shown)


@pytest.mark.parametrize("suffix", [".nef", ".orf", ".pef", ".srw"])
def test_a_camera_s_raw_file_is_a_picture(suffix: str) -> None:
    media_type = media_type_of(camera_raw(suffix, preview_jpeg()))
    assert media_type in {"image/tiff", "image/x-raw"}


@pytest.mark.parametrize(
    "start", [b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", b"FUJIFILMCCD-RAW 0201", b"IIU\0\x18\0\0\0"]
)
def test_raw_files_with_another_beginning_are_pictures(start: bytes) -> None:
    assert media_type_of(start) == "image/x-raw"
