"""Finds the operation of a request by its method and path, and performs it.

A framework's router would treat an encoded slash in an ID as a path separator, so this module
parses the path itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from snoopsync.core.errors import Refused
from snoopsync.core.labels import decode_label
from snoopsync.embedded import EmbeddedCollection
from snoopsync.server.signature import SignedRequest

BASE = "/api/v1"

#: The path by which load balancers ask whether the service works.
HEALTH = "/healthz"

#: The operations that need no key, by path.
_PUBLIC = {HEALTH: "healthz", f"{BASE}/openapi.json": "openapi.json"}

#: The methods of each other operation, without an ID and with one.
_METHODS = {
    ("changes", False): ("GET", "HEAD"),
    ("collection", False): ("GET", "HEAD"),
    ("image", False): ("POST",),
    ("image", True): ("GET", "HEAD", "POST", "PUT", "DELETE"),
    ("images", False): ("GET", "HEAD"),
    ("outdated", False): ("GET", "HEAD"),
    ("search", False): ("POST",),
    ("search", True): ("GET", "HEAD"),
}

#: The operation at ``/image/<id>/label``, and its methods.
_LABEL = "label"
_LABEL_METHODS: tuple[str, ...] = ("POST",)

#: The methods that change an image.
_CHANGES = ("POST", "PUT", "DELETE")


class UnknownOperation(Exception):
    """No operation has this path (``allowed`` is empty), or none has this method."""

    def __init__(self, allowed: str = "") -> None:
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Operation:
    """One requested operation. ``path`` is as it was sent. ``label``: for an image, if there is
    one."""

    method: str
    path: str
    name: str
    image_id: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None

    @property
    def is_public(self) -> bool:
        """Whether the operation needs no key."""
        return self.path in _PUBLIC

    @property
    def has_body(self) -> bool:
        """Whether the request has a picture as its body."""
        return self.method in ("POST", "PUT") and self.name != _LABEL

    def signed_request(self, headers: Mapping[str, str]) -> SignedRequest:
        """Return the signed parts of the request."""
        return SignedRequest(
            method=self.method,
            path=self.path,
            date=headers.get("date", ""),
            authorization=headers.get("authorization", ""),
            changes=self.name in ("image", _LABEL) and self.method in _CHANGES,
            is_unique=self.image_id is not None,
        )


def find_operation(method: str, path: str, query: str, label: str = "") -> Operation:
    """Return the operation of this method and path (as it was sent). ``label``: the value of the
    header with the image's label. Raises ``UnknownOperation``, and ``Refused`` for an invalid ID or
    label."""
    if path in _PUBLIC:
        if method not in ("GET", "HEAD"):
            raise UnknownOperation("GET, HEAD")
        return Operation(method, path, _PUBLIC[path])
    if not path.startswith(BASE + "/"):
        raise UnknownOperation
    name, *rest = path.removeprefix(BASE + "/").split("/")
    if name == "image" and len(rest) == 2 and rest[1] == _LABEL:
        name, methods = _LABEL, _LABEL_METHODS
    elif len(rest) > 1 or (name, bool(rest)) not in _METHODS:
        raise UnknownOperation
    else:
        methods = _METHODS[name, bool(rest)]
    if method not in methods:
        raise UnknownOperation(", ".join(methods))
    image_id = _decode_id(rest[0]) if rest else None
    return Operation(
        method,
        path,
        name,
        image_id,
        {key: all_[0] for key, all_ in parse_qs(query, keep_blank_values=True).items()},
        decode_label(label) if name in ("image", _LABEL) and method in _CHANGES else None,
    )


def _decode_id(segment: str) -> str:
    try:
        image_id = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        image_id = ""
    if not 1 <= len(image_id) <= 100:
        raise Refused("an image ID must be a text of 1 to 100 characters in UTF-8", status=400)
    return image_id


def perform(
    operation: Operation, collection: EmbeddedCollection, name: str, body: Path | None
) -> Mapping[str, Any]:
    """Perform the operation on the collection with this name, and return the response. ``body`` is
    the file with the picture. Raises ``CollectionError``."""
    if operation.image_id is not None:
        return _perform_on_image(operation, collection, operation.image_id, body)
    match operation.name, operation.method:
        case "collection", _:
            return {
                "status": 200,
                "message": "OK",
                "collection_id": collection.id,
                "collection_name": name,
                "user": name,
                "outdated": collection.count_outdated(),
            }
        case "changes", _:
            return collection.changes(_moment(operation), operation.query.get("owner", ""))
        case "outdated", _:
            return collection.outdated(operation.query.get("owner"), operation.query.get("after"))
        case "images", _:
            return collection.get_images(operation.query.get("start"), _number(operation, "count"))
        case "image", _:
            return collection.add_image(_require_body(body), label=operation.label)
    return collection.search_images(_require_body(body), _number(operation, "limit"))


def _perform_on_image(
    operation: Operation, collection: EmbeddedCollection, image_id: str, body: Path | None
) -> Mapping[str, Any]:
    match operation.name, operation.method:
        case "search", _:
            return collection.search_images_by_id(image_id, _number(operation, "limit"))
        case "label", _:
            return collection.set_label(image_id, operation.label)
        case _, "PUT" if operation.query.get("only") == "renew":
            return collection.renew_image(image_id, _require_body(body))
        case _, "POST" | "PUT":
            is_update = operation.method == "PUT"
            return collection.add_image(_require_body(body), image_id, is_update, operation.label)
        case _, "DELETE":
            return collection.delete_image(image_id)
    return collection.get_image(image_id)


def _require_body(body: Path | None) -> Path:
    assert body is not None  # every operation with these methods has one
    return body


def _number(operation: Operation, name: str) -> int | None:
    """The number of images in a key of the query; ``None`` without that key."""
    text = operation.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Refused(f"{name} must be a number of images", status=400)
    return int(text)


def _moment(operation: Operation) -> int | None:
    """The moment ``since`` in the query; ``None`` without one."""
    text = operation.query.get("since")
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        raise Refused("since must be the `next` of an earlier answer", status=400)
    return int(text)
