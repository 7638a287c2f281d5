"""Interprets responses of the collection: first the HTTP status, then the JSON, if there is any.

These functions take a response, and return its content or its error. The module ``lists`` reads the
responses with a long list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from snoopsync.client.signing import LONGEST_ID, parse_date
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    Conflict,
    ExcessiveAnswer,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
    Unwritable,
)
from snoopsync.core.labels import LABEL_BYTES
from snoopsync.core.protocol import ImageAnswer

#: The largest response about the collection or about one image.
LARGEST_PLAIN_BYTES = 256 * 1024

#: The largest number of characters of a name, or of an ID that is not an image's.
_LONGEST_NAME = 1000

#: The largest number of characters of a time. A time in ISO 8601 has about 32.
_LONGEST_TIME = 64

#: The longest delay that a service can request.
LONGEST_RETRY_AFTER_SECONDS = 3600.0

#: A larger difference between the clocks may be the reason why the service refuses a signature.
_CLOCK_TOLERANCE_SECONDS = 60.0

_LONGEST_MESSAGE = 200

#: How much of an unexpected body an error message shows.
_SHOWN_CHARACTERS = 60

#: Statuses outside of 5xx that mean that a later attempt may succeed.
_LATER = frozenset({408, 425, 429})

#: Statuses that confirm a change without a body.
_DONE = frozenset({201, 204})

#: What to check if the answer does not come from a collection.
_ADVICE = "is collection.endpoint right, or does something else answer (a login page, a proxy)?"

#: What to do when a proxy requires a login.
_PROXY_LOGIN = "put a user and a password into the URL of the proxy"


@dataclass(frozen=True, slots=True)
class Response:
    """A response that may still be arriving. The names in ``headers`` are case-insensitive.
    ``body``: the beginning of the body. ``rest`` yields the remaining pieces, if there are any."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    rest: Iterable[bytes] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """The collection that the keys open, and its user. ``outdated``: the number of its images that
    an older version of the service described; ``None`` if the service does not report it."""

    collection_id: str
    collection_name: str
    user: str
    outdated: int | None = None


def complete(response: Response) -> Response:
    """Return the response if ``body`` is its whole body. Otherwise raises ``ExcessiveAnswer``."""
    if len(response.body) > LARGEST_PLAIN_BYTES or any(response.rest):
        raise too_large(LARGEST_PLAIN_BYTES)
    return response


def too_large(most_bytes: int) -> ExcessiveAnswer:
    """Return the error for a response of more than this many bytes."""
    unit, size = ("MB", 20) if most_bytes >> 20 else ("KB", 10)
    return ExcessiveAnswer(f"the answer is refused: it has more than {most_bytes >> size} {unit}")


def error_of(response: Response, now: float) -> CollectionError | None:
    """Return the error of a response; ``None`` for a success. ``now``: Unix seconds."""
    status = response.status
    if 200 <= status < 300:
        return None
    message = message_of(response)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return BadAnswer(f"{message}: {_PROXY_LOGIN}", status=status)
    if status in (401, 403):
        return Unauthorized(message + _clock_hint(response, now), status=status)
    if status == 404:
        return NotFound(message, status=status)
    if status == 409:
        return Conflict(message, status=status)
    if status in _LATER or status >= 500:
        kind = Unwritable if status == HTTPStatus.INSUFFICIENT_STORAGE else Unavailable
        return kind(message, status=status, retry_after=retry_after(response, now))
    if status >= 400:
        return Refused(message, status=status)
    location = one_line(response.headers.get("Location") or "")
    where = f", to {location}" if location else ""
    return BadAnswer(f"{message}{where}: {_ADVICE}", status=status)


def is_from_collection(response: Response) -> bool:
    """Whether the body is JSON with ``status`` and ``message``, as in the collection's protocol.
    Bodies from proxies, web servers and other programs are not."""
    found = _json(response)
    return (
        isinstance(found, dict)
        and found.get("status") == response.status
        and isinstance(found.get("message"), str)
    )


def confirms_without_body(response: Response) -> bool:
    """Whether the response confirms a change and has no body."""
    return response.status in _DONE and not response.body.strip()


def no_collection_error(response: Response, likely_endpoint: str | None = None) -> BadAnswer:
    """Return the error for a response that did not come from a collection. ``likely_endpoint``: an
    endpoint at which the collection may be."""
    advice = _ADVICE
    if likely_endpoint is not None and response.status == HTTPStatus.NOT_FOUND:
        advice = f"collection.endpoint lacks its path, try {likely_endpoint}"
    return BadAnswer(
        f"{message_of(response)}, and there is no collection: {advice}", status=response.status
    )


def message_of(response: Response) -> str:
    """Return the message of a response on one line: the message in its JSON, otherwise the name of
    its status, otherwise the beginning of its body."""
    found = _json(response)
    message = found.get("message") if isinstance(found, dict) else None
    if isinstance(message, str) and one_line(message):
        return one_line(message)
    return (
        one_line(response.reason)
        or one_line(response.body.decode("utf-8", "replace"))
        or "no reason"
    )


def one_line(text: str) -> str:
    """Return the first line of the text that is not blank, shortened to a readable length, with a
    space in place of other characters than printable ones."""
    # The text is shortened first, because it may have megabytes.
    for line in text[: 20 * _LONGEST_MESSAGE].splitlines():
        printable = "".join(char if char.isprintable() else " " for char in line)
        if words := " ".join(printable.split()):
            return words if len(words) <= _LONGEST_MESSAGE else words[:_LONGEST_MESSAGE] + "…"
    return ""


def retry_after(response: Response, now: float) -> float | None:
    """Return how many seconds to wait before the next attempt, as the service requests it; ``None``
    if it requests nothing.

    The header contains seconds or a date (RFC 9110, 10.2.3). The result is from 0 to
    ``LONGEST_RETRY_AFTER_SECONDS``.
    """
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        seconds = float(text)
    else:
        date = parse_date(text)
        if date is None:
            return None
        seconds = date - now
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def clock_ahead(response: Response, now: float) -> float | None:
    """Return how many seconds this machine's clock is ahead of the service's (accurate to a
    second); ``None`` if the response has no ``Date``."""
    date = parse_date(response.headers.get("Date", ""))
    return None if date is None else now - date


def _clock_hint(response: Response, now: float) -> str:
    ahead = clock_ahead(response, now)
    if ahead is None or abs(ahead) <= _CLOCK_TOLERANCE_SECONDS:
        return ""
    direction = "ahead of" if ahead > 0 else "behind"
    return f" (this clock is {abs(ahead):.0f} s {direction} the service's)"


def parse_session(response: Response) -> Session:
    """Return the session that the keys open. Raises ``BadAnswer``, as all functions below do."""
    found = _object(response)
    require_fields(response, found, collection_id=str, collection_name=str, user=str)
    for key in ("collection_id", "collection_name", "user"):
        if len(found[key]) > _LONGEST_NAME:
            raise invalid_field(response, key, found[key])
    outdated = found.get("outdated")
    return Session(
        found["collection_id"],
        found["collection_name"],
        found["user"],
        outdated if type(outdated) is int and outdated >= 0 else None,
    )


def parse_changed_image(
    response: Response, image_id: str | None, collection_id: str
) -> ImageAnswer:
    """Return the answer to adding, updating or deleting an image.

    Missing fields are filled in: the ID from the request, the collection's ID, and an empty
    ``image_time``. Some web servers answer 200 to any request, so a 200 counts as a success only if
    it has the fields of the collection's protocol, or the image's ID.
    """
    has_no_body = confirms_without_body(response)
    found = {
        "message": one_line(response.reason),
        "collection_id": collection_id,
        "image_time": "",
        **({} if image_id is None else {"image_id": image_id}),
        **({"status": response.status} if has_no_body else _object(response)),
    }
    if not has_no_body and not is_from_collection(response):
        require_fields(response, _json(response), image_id=str)
    return _image(response, found, image_id)


def parse_image(response: Response, image_id: str, collection_id: str) -> ImageAnswer:
    """Return the answer about an image. Missing IDs are filled in."""
    return _image(response, {"image_id": image_id, **_filled(response, collection_id)}, image_id)


def _image(response: Response, found: dict[str, Any], image_id: str | None) -> ImageAnswer:
    require_fields(response, found, collection_id=str, image_id=str, image_time=str)
    if image_id not in (None, found["image_id"]):
        raise BadAnswer(
            f"the answer is about another image: {found['image_id']!r:.120}", status=response.status
        )
    if not is_valid_id(found["image_id"]):
        raise invalid_field(response, "image_id", found["image_id"])
    found["image_time"] = valid_time(found["image_time"])
    if not isinstance(found.get("outdated", False), bool):
        del found["outdated"]
    if not is_label(found.get("label")):
        found.pop("label", None)
    return cast(ImageAnswer, found)


def is_valid_id(text: str) -> bool:
    """Whether an image can have this ID."""
    return 1 <= len(text) <= LONGEST_ID and _is_text(text)


def is_label(value: object) -> bool:
    """Whether this can be the label of an image. It may still contain odd characters."""
    return isinstance(value, str) and _is_text(value) and 0 < len(value.encode()) <= LABEL_BYTES


def valid_time(text: str) -> str:
    """Return the text; an empty text if it is too long for a time."""
    return text if len(text) <= _LONGEST_TIME else ""


def _filled(response: Response, collection_id: str) -> dict[str, Any]:
    """Return the JSON object in the body, with the collection's ID filled in."""
    return {"collection_id": collection_id, **_object(response)}


def _object(response: Response) -> dict[str, Any]:
    """Return the JSON object in the body, with the HTTP status and a message."""
    return with_status(response, _json(response))


def with_status(response: Response, found: Any) -> dict[str, Any]:
    """Return the response's JSON ``found`` with the HTTP status and a message. Raises ``BadAnswer``
    if it is not an object."""
    if not isinstance(found, dict):
        raise BadAnswer(
            f"not the collection's JSON but {_beginning(response)}: {_ADVICE}",
            status=response.status,
        )
    found["status"] = response.status
    if not isinstance(found.get("message"), str):
        found["message"] = one_line(response.reason)
    return found


def _json(response: Response) -> Any:
    """Return the JSON in the body; ``None`` if the body is not JSON."""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError):
        return None


def _beginning(response: Response) -> str:
    text = one_line(response.body.decode("utf-8", "replace"))
    return repr(text[:_SHOWN_CHARACTERS]) if text else "nothing"


def require_fields(response: Response, found: object, **types: type) -> None:
    """Raise ``BadAnswer`` unless ``found`` is an object with all these keys and types."""
    for key, expected in types.items():
        value = found.get(key) if isinstance(found, dict) else None
        # In Python, unlike in JSON, true is a number.
        if not isinstance(value, expected) or isinstance(value, bool):
            raise invalid_field(response, key, value)
        if isinstance(value, str) and not _is_text(value):
            raise invalid_field(response, key, value)


def _is_text(value: str) -> bool:
    """Whether the text can be encoded as UTF-8. JSON can contain one half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def invalid_field(response: Response, key: str, value: object) -> BadAnswer:
    """Return the error for a response with this invalid value."""
    return BadAnswer(
        f"not the collection's JSON: no valid {key!r} ({value!r:.60}) in"
        f" {_beginning(response)}: {_ADVICE}",
        status=response.status,
    )
