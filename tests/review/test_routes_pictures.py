"""Pictures are sent by image ID, and only those that the state knows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import cast

import pytest
from starlette.requests import Request
from starlette.types import Message

from snoopsync.review.parts import Parts
from snoopsync.review.pictures import SHOWN_BY_BROWSERS
from snoopsync.review.routes_pictures import FileResponse, picture_routes
from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.psd_pictures import psd
from tests.support.raw_pictures import dng


def test_only_pictures_that_the_state_knows_are_sent(
    home: Installation, client: PageClient
) -> None:
    [group, _] = client.groups()
    image = group["images"][0]
    answer = client.send("GET", image["picture"])
    assert answer.content == (home.pictures / "b.png").read_bytes()
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.send("GET", image["thumb"]).headers["Content-Type"] == "image/jpeg"
    for path in ("/picture/tests.unknown", "/thumb/tests.unknown"):
        assert client.send("GET", path).status_code == 404


@pytest.mark.parametrize("kind", ["RAW", "JPEG XL", "PSD"])
def test_a_picture_that_no_browser_shows_is_sent_as_one_that_it_shows(
    home: Installation, client: PageClient, kind: str
) -> None:
    shown = photo(5, (480, 320))
    name = {"RAW": "shot.nef", "JPEG XL": "shot.jxl", "PSD": "shot.psd"}[kind]
    if kind == "PSD":
        data = psd(shown)
    else:
        data = encode(shown, "JXL") if kind == "JPEG XL" else dng(encode(shown, quality=90))
    (home.pictures / name).write_bytes(data)
    (home.pictures / "copy.jpg").write_bytes(encode(photo(5, (240, 160))))
    home.ok("resync")
    [image] = [
        image for group in client.groups() for image in group["images"] if image["name"] == name
    ]
    for address in (image["thumb"], image["picture"]):
        answer = client.send("GET", address)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] in SHOWN_BY_BROWSERS


@pytest.mark.parametrize("what", ["link", "directory link", "html", "svg", "fifo", "other bytes"])
def test_what_takes_the_place_of_a_picture_is_not_sent(
    home: Installation, client: PageClient, tmp_path: Path, what: str
) -> None:
    [group, _] = client.groups()
    image = group["images"][0]
    path = home.pictures / image["name"]
    path.unlink()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / image["name"]).write_bytes(b"root:secret")
    if what == "link":
        path.symlink_to("/etc/passwd")
    elif what == "directory link":
        home.pictures.rename(tmp_path / "away")
        home.pictures.symlink_to(secret)
    elif what == "html":
        path.write_text("<script>alert(1)</script>root:")
    elif what == "svg":
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>root:")
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(encode(photo(5)))
    for address in (image["picture"], image["thumb"]):
        answer = client.send("GET", address)
        assert answer.status_code == 404, address
        assert b"root:" not in answer.content
        assert answer.headers["Content-Type"] == "application/json"


def test_a_full_picture_is_closed_also_if_the_browser_has_gone_before_it_is_sent(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x" * 1000)
    file = path.open("rb", buffering=0)
    response = FileResponse(file, 1000, "image/jpeg")
    asyncio.run(response({"type": "http"}, gone, ignore))
    assert file.closed


def test_no_picture_is_made_for_a_browser_that_has_gone() -> None:
    class Unasked:
        """Parts of which nothing may be asked."""

    scope = {"type": "http", "method": "GET", "headers": [], "path_params": {"image_id": "a"}}
    for route in picture_routes(cast("Parts", Unasked())):
        response = asyncio.run(route.endpoint(Request(scope, gone)))
        assert response.body == b""


async def gone() -> Message:
    """What a server tells the application when the browser has gone."""
    return {"type": "http.disconnect"}


async def ignore(message: Message) -> None:
    pass
