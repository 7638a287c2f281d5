"""The OpenAPI description of the service."""

from __future__ import annotations

from typing import Any

from snoopsync.core.labels import LABEL_BYTES, LABEL_HEADER
from snoopsync.version import __version__

_ID = {
    "name": "image_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 100},
}
_BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
_STATUS = {
    "type": "object",
    "required": ["status", "message"],
    "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["status", "message", *properties],
        "properties": {**_STATUS["properties"], **properties},  # type: ignore[dict-item]
    }


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_LIMIT = {
    "name": "limit",
    "in": "query",
    "description": "Only the nearest results. Images with the same bytes count as one",
    "schema": _COUNT,
}
_FLAG = {"type": "boolean"}
_LABEL = {
    "name": LABEL_HEADER,
    "in": "header",
    "description": "What people call the image: percent-encoded UTF-8, without control characters,"
    f" at most {LABEL_BYTES} bytes when decoded",
    "schema": _TEXT,
}
_IMAGE = _object(collection_id=_TEXT, image_id=_TEXT, image_time=_TEXT)
_IMAGE["properties"] |= {"outdated": _FLAG, "label": _TEXT}
_EVIDENCE = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("camera", "lossless", "palette", "resaved"), _FLAG),
        "jpeg_quality": {"type": ["integer", "null"], "minimum": 1, "maximum": 100},
    },
}
_FACTS = {
    **{name: {"type": "integer"} for name in ("width", "height", "size_bytes")},
    "evidence": _EVIDENCE,
}
_ASKED = {"type": "object", "properties": _FACTS}
_MATCHES = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "rank"],
        "properties": {
            "id": _TEXT,
            "rank": {"type": "integer"},
            "kind": _TEXT,
            "label": _TEXT,
            "copies": {"type": "integer", "description": "with limit: images with these bytes"},
            **_FACTS,
            "asked": _ASKED,
        },
    },
}
_FOUND = _object(results=_MATCHES)
_FOUND["properties"] |= {"partial": _FLAG, "outdated": _FLAG}


def _responses(schema: dict[str, Any], status: int, *refusals: int) -> dict[str, Any]:
    def response(what: str, of: dict[str, Any]) -> dict[str, Any]:
        return {"description": what, "content": {"application/json": {"schema": of}}}

    refused = {str(each): response("refused", _STATUS) for each in (400, 401, 429, *refusals)}
    failed = {"default": response("the service can't do this now", _STATUS)}
    return {str(status): response("done", schema)} | refused | failed


#: The statuses of refused additions and updates.
_ADD_REFUSALS = (408, 409, 413, 415, 425)

_CHANGED_PAIR = {
    "type": "object",
    "required": ["id", "match", "rank", "kind", "label"],
    "properties": {
        "id": {"type": "string", "description": "the owner's image"},
        "match": {"type": "string", "description": "the other owner's image"},
        "rank": {"type": "integer"},
        **{name: {"type": ["string", "null"]} for name in ("kind", "label")},
    },
}
_MOMENT = {"type": "integer", "minimum": 0}

_PATHS = {
    "/changes": {
        "get": {
            "description": "What other owners added since a moment that is like an image of this"
            " owner, in pages. Without since: no pairs, and the present moment as next. The last"
            " page has its since as next",
            "parameters": [
                {"name": "since", "in": "query", "schema": _MOMENT},
                {
                    "name": "owner",
                    "in": "query",
                    "required": True,
                    "schema": {"type": "string", "minLength": 1, "maxLength": 99},
                },
            ],
            "responses": _responses(
                _object(
                    collection_id=_TEXT,
                    pairs={"type": "array", "items": _CHANGED_PAIR},
                    next=_MOMENT,
                ),
                200,
            ),
        }
    },
    "/collection": {
        "get": {
            "parameters": [{"name": "session", "in": "query", "schema": _TEXT}],
            "responses": _responses(
                _object(
                    collection_id=_TEXT,
                    collection_name=_TEXT,
                    user=_TEXT,
                    outdated={"type": "integer", "minimum": 0},
                ),
                200,
            ),
        }
    },
    "/image": {
        "post": {
            "parameters": [_LABEL],
            "requestBody": _BODY,
            "responses": _responses(_IMAGE, 201, *_ADD_REFUSALS),
        }
    },
    "/image/{image_id}": {
        "parameters": [_ID],
        "get": {"responses": _responses(_IMAGE, 200, 404)},
        "post": {
            "parameters": [_LABEL],
            "requestBody": _BODY,
            "responses": _responses(_IMAGE, 201, *_ADD_REFUSALS),
        },
        "put": {
            "parameters": [
                _LABEL,
                {
                    "name": "only",
                    "in": "query",
                    "schema": {"type": "string", "enum": ["renew"]},
                    "description": "renew: describe the image again. The body must have the"
                    " same bytes as the image.",
                },
            ],
            "requestBody": _BODY,
            "responses": _responses(_IMAGE, 200, 404, *_ADD_REFUSALS),
        },
        "delete": {"responses": _responses(_IMAGE, 200, 404, 425)},
    },
    "/image/{image_id}/label": {
        "parameters": [_ID],
        "post": {
            "description": "Set the label of an image. Without the header, or with an empty one,"
            " the image has no label any more",
            "parameters": [_LABEL],
            "responses": _responses(_IMAGE, 200, 404, 425),
        },
    },
    "/images": {
        "get": {
            "parameters": [
                {"name": "start", "in": "query", "schema": _TEXT},
                {"name": "count", "in": "query", "schema": _COUNT},
            ],
            "responses": _responses(
                _object(
                    images={"type": "array", "items": {"type": "object"}},
                    next_image_id={"type": ["string", "null"]},
                ),
                200,
                404,
            ),
        }
    },
    "/outdated": {
        "get": {
            "description": "Images that an older version of the service has described",
            "parameters": [
                {"name": "owner", "in": "query", "schema": _TEXT},
                {"name": "after", "in": "query", "schema": _TEXT},
            ],
            "responses": _responses(
                _object(
                    ids={"type": "array", "items": _TEXT},
                    total={"type": ["integer", "null"]},
                    next={"type": ["string", "null"]},
                ),
                200,
            ),
        }
    },
    "/search": {
        "post": {
            "parameters": [_LIMIT],
            "requestBody": _BODY,
            "responses": _responses(_FOUND, 200, 408, 413, 415),
        }
    },
    "/search/{image_id}": {
        "parameters": [_ID],
        "get": {"parameters": [_LIMIT], "responses": _responses(_FOUND, 200, 404)},
    },
}


def openapi(base: str) -> dict[str, Any]:
    """Return the description of the service under the path ``base``."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "snoopsync's image collection", "version": __version__},
        "servers": [{"url": base}],
        "security": [{"VSHMAC": []}],
        "paths": _PATHS,
        "components": {
            "securitySchemes": {
                "VSHMAC": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "VSHMAC <public key>:<base64 of HMAC-SHA1(secret key,"
                    ' METHOD "\\n" PATH "\\n" DATE)>, with the Date header',
                }
            }
        },
    }
