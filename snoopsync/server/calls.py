"""The calls of the wire protocol: which one is it, what does it claim, and what does it do.

The router of a framework would take an encoded slash in an ID for a step of the path, so the calls
are told apart here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from snoopsync.core.errors import Refused
from snoopsync.embedded import EmbeddedCollection
from snoopsync.server.signature import Claim

BASE = "/api/v1"

Answer = Mapping[str, Any]

#: The calls that need no key, by their paths.
_OPEN = {"/healthz": "healthz", f"{BASE}/openapi.json": "openapi.json"}

#: The methods of each other call: without an ID, and with one.
_METHODS = {
    ("collection", False): ("GET", "HEAD"),
    ("image", False): ("POST",),
    ("image", True): ("GET", "HEAD", "POST", "PUT", "DELETE"),
    ("images", False): ("GET", "HEAD"),
    ("outdated", False): ("GET", "HEAD"),
    ("search", False): ("POST",),
    ("search", True): ("GET", "HEAD"),
}


class NoSuchCall(Exception):
    """There is no such call (``allowed`` is empty), or none with this method."""

    def __init__(self, allowed: str = "") -> None:
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked. ``path`` is as it was sent."""

    method: str
    path: str
    name: str
    image_id: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """May anybody ask it?"""
        return self.path in _OPEN

    @property
    def has_body(self) -> bool:
        """Does a picture come with it?"""
        return self.method in ("POST", "PUT")

    def claim(self, headers: Mapping[str, str]) -> Claim:
        """Whose it says it is."""
        return Claim(
            method=self.method,
            path=self.path,
            date=headers.get("date", ""),
            authorization=headers.get("authorization", ""),
            changes=self.name == "image" and self.method in ("POST", "PUT", "DELETE"),
            once=self.image_id is not None,
        )


def call_of(method: str, path: str, query: str) -> Call:
    """The call with this path, as it was sent. Raises ``NoSuchCall``, and ``Refused`` for an ID
    that can be none."""
    if path in _OPEN:
        if method not in ("GET", "HEAD"):
            raise NoSuchCall("GET, HEAD")
        return Call(method, path, _OPEN[path])
    if not path.startswith(BASE + "/"):
        raise NoSuchCall
    name, *rest = path.removeprefix(BASE + "/").split("/")
    methods = _METHODS.get((name, bool(rest)))
    if methods is None or len(rest) > 1:
        raise NoSuchCall
    if method not in methods:
        raise NoSuchCall(", ".join(methods))
    image_id = _decoded(rest[0]) if rest else None
    return Call(
        method,
        path,
        name,
        image_id,
        {key: all_[0] for key, all_ in parse_qs(query, keep_blank_values=True).items()},
    )


def _decoded(segment: str) -> str:
    try:
        image_id = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        image_id = ""
    if not 1 <= len(image_id) <= 100:
        raise Refused("an image's ID is a text of 1 to 100 characters, in UTF-8", status=400)
    return image_id


def perform(call: Call, collection: EmbeddedCollection, name: str, body: Path | None) -> Answer:
    """Do it, on the collection of this name. Raises ``CollectionError``."""
    if call.image_id is not None:
        return _about_image(call, collection, call.image_id, body)
    match call.name, call.method:
        case "collection", _:
            return {
                "status": 200,
                "message": "OK",
                "collection_id": collection.id,
                "collection_name": name,
                "user": name,
                "outdated": collection.count_outdated(),
            }
        case "outdated", _:
            return collection.outdated(call.query.get("owner"), call.query.get("after"))
        case "images", _:
            return collection.get_images(call.query.get("start"), _count(call.query.get("count")))
        case "image", _:
            return collection.add_image(_there(body))
    return collection.search_images(_there(body))


def _about_image(
    call: Call, collection: EmbeddedCollection, image_id: str, body: Path | None
) -> Answer:
    match call.name, call.method:
        case "search", _:
            return collection.search_images_by_id(image_id)
        case _, "PUT" if call.query.get("only") == "renew":
            return collection.renew_image(image_id, _there(body))
        case _, "POST" | "PUT":
            return collection.add_image(_there(body), image_id, call.method == "PUT")
        case _, "DELETE":
            return collection.delete_image(image_id)
    return collection.get_image(image_id)


def _there(body: Path | None) -> Path:
    assert body is not None  # every call of these methods has received one
    return body


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Refused("count is a number of images", status=400)
    return int(text)
