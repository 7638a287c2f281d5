"""What the collection's answer means: the HTTP status first, then the JSON, if there is some.

Everything here takes an answer that has arrived and returns what it says, or the error it is. Those
with a long list are read in ``lists``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

from snoopsync.client.signing import LONGEST_ID
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
from snoopsync.core.protocol import ImageAnswer

#: More is no answer about the collection or about one image.
LARGEST_PLAIN_BYTES = 256 * 1024

#: A name or an ID that is not an image's is no longer than this.
_LONGEST_NAME = 1000

#: An ISO 8601 time has some 32 characters.
_LONGEST_TIME = 64

#: No service is left alone for longer than this, whatever it asks for.
LONGEST_RETRY_AFTER_SECONDS = 3600.0

#: A clock that is off by more may be why a signature is not taken.
_CLOCK_TOLERANCE_SECONDS = 60.0

_LONGEST_MESSAGE = 200

#: So much is shown of an answer that is none of the collection's.
_SHOWN_CHARACTERS = 60

#: Statuses outside 5xx that say "later".
_LATER = frozenset({408, 425, 429})

#: Statuses that say of themselves that a change is done: they need no words beside.
_DONE = frozenset({201, 204})

#: What to look at when something else than the collection has answered.
_ADVICE = "is collection.endpoint right, or does something else answer (a login page, a proxy)?"


#: What to do about a proxy that does not know who we are.
_PROXY_LOGIN = "put a user and a password into the URL of the proxy"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it arrives. ``headers`` finds its names in any case. ``rest`` has the pieces of
    the body that follow on ``body``; an answer that is not long has none."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    rest: Iterable[bytes] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Which collection the keys open, and whose it is. ``outdated``: how many of its images an
    older version of the service has described; ``None`` if it does not tell."""

    collection_id: str
    collection_name: str
    user: str
    outdated: int | None = None


def whole(answer: Answer) -> Answer:
    """The same answer, if nothing is missing of its body. Raises ``ExcessiveAnswer``."""
    if len(answer.body) > LARGEST_PLAIN_BYTES or any(answer.rest):
        raise larger_than(LARGEST_PLAIN_BYTES)
    return answer


def larger_than(most_bytes: int) -> ExcessiveAnswer:
    """The error that an answer of more bytes is."""
    unit, size = ("MB", 20) if most_bytes >> 20 else ("KB", 10)
    return ExcessiveAnswer(f"the answer is refused: it has more than {most_bytes >> size} {unit}")


def refusal(answer: Answer, now: float) -> CollectionError | None:
    """The error that the answer is, or ``None`` for a success. ``now`` is in Unix seconds."""
    status = answer.status
    if 200 <= status < 300:
        return None
    message = said(answer)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return BadAnswer(f"{message}: {_PROXY_LOGIN}", status=status)
    if status in (401, 403):
        return Unauthorized(message + _clock_hint(answer, now), status=status)
    if status == 404:
        return NotFound(message, status=status)
    if status == 409:
        return Conflict(message, status=status)
    if status in _LATER or status >= 500:
        kind = Unwritable if status == HTTPStatus.INSUFFICIENT_STORAGE else Unavailable
        return kind(message, status=status, retry_after=retry_after(answer, now))
    if status >= 400:
        return Refused(message, status=status)
    location = one_line(answer.headers.get("Location") or "")
    where = f", to {location}" if location else ""
    return BadAnswer(f"{message}{where}: {_ADVICE}", status=status)


def is_the_collections(answer: Answer) -> bool:
    """Does it look like one of the collection's, which are JSON with ``status`` and ``message``?
    A proxy, a web server or another program would have said something else."""
    found = _json(answer)
    return (
        isinstance(found, dict)
        and found.get("status") == answer.status
        and isinstance(found.get("message"), str)
    )


def is_bare(answer: Answer) -> bool:
    """Does it say that a change is done, and nothing more?"""
    return answer.status in _DONE and not answer.body.strip()


def of_no_collection(answer: Answer, likely_endpoint: str | None = None) -> BadAnswer:
    """What an answer is that did not come from a collection. ``likely_endpoint``: where there may
    be one."""
    advice = _ADVICE
    if likely_endpoint is not None and answer.status == HTTPStatus.NOT_FOUND:
        advice = f"collection.endpoint lacks its path, it may be {likely_endpoint}"
    return BadAnswer(f"{said(answer)}, and there is no collection: {advice}", status=answer.status)


def said(answer: Answer) -> str:
    """What the service says in its answer, on one line: the JSON's message, else the status's
    name, else the beginning of the text."""
    found = _json(answer)
    message = found.get("message") if isinstance(found, dict) else None
    if isinstance(message, str) and one_line(message):
        return one_line(message)
    return (
        one_line(answer.reason) or one_line(answer.body.decode("utf-8", "replace")) or "no reason"
    )


def one_line(text: str) -> str:
    """The text's first line that has something in it, printable, and cut to a readable length."""
    # Cut first: it may be megabytes.
    for line in text[: 20 * _LONGEST_MESSAGE].splitlines():
        printable = "".join(char if char.isprintable() else " " for char in line)
        if words := " ".join(printable.split()):
            return words if len(words) <= _LONGEST_MESSAGE else words[:_LONGEST_MESSAGE] + "…"
    return ""


def retry_after(answer: Answer, now: float) -> float | None:
    """The seconds for which the service asks to be left alone, if it does.

    The header has seconds or a date (RFC 9110, 10.2.3). At least 0, and at most
    ``LONGEST_RETRY_AFTER_SECONDS``.
    """
    text = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        seconds = float(text)
    else:
        date = _date(text)
        if date is None:
            return None
        seconds = date - now
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _date(text: str) -> float | None:
    """A header's date in Unix seconds, or ``None`` if it is none."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def clock_ahead(answer: Answer, now: float) -> float | None:
    """By how many seconds our clock is ahead of the service's, to the second, by the answer's
    ``Date``; ``None`` if it has none."""
    date = _date(answer.headers.get("Date", ""))
    return None if date is None else now - date


def _clock_hint(answer: Answer, now: float) -> str:
    ahead = clock_ahead(answer, now)
    if ahead is None or abs(ahead) <= _CLOCK_TOLERANCE_SECONDS:
        return ""
    direction = "ahead of" if ahead > 0 else "behind"
    return f" (this clock is {abs(ahead):.0f} s {direction} the service's)"


def session(answer: Answer) -> Session:
    """Who the keys are. Raises ``BadAnswer``, as all of these do."""
    found = _object(answer)
    require(answer, found, collection_id=str, collection_name=str, user=str)
    for key in ("collection_id", "collection_name", "user"):
        if len(found[key]) > _LONGEST_NAME:
            raise unusable(answer, key, found[key])
    outdated = found.get("outdated")
    return Session(
        found["collection_id"],
        found["collection_name"],
        found["user"],
        outdated if type(outdated) is int and outdated >= 0 else None,
    )


def changed_image(answer: Answer, image_id: str | None, collection_id: str) -> ImageAnswer:
    """The answer to an image that was sent or deleted.

    Whatever it leaves out is filled in with what is known: the ID that was asked for, the
    collection's ID, an empty ``image_time``. But with 200 anything answers that knows nothing of
    images, so that is only taken for done if it is in the collection's words, or names the image.
    """
    bare = is_bare(answer)
    found = {
        "message": one_line(answer.reason),
        "collection_id": collection_id,
        "image_time": "",
        **({} if image_id is None else {"image_id": image_id}),
        **({"status": answer.status} if bare else _object(answer)),
    }
    if not bare and not is_the_collections(answer):
        require(answer, _json(answer), image_id=str)
    return _image(answer, found, image_id)


def image(answer: Answer, image_id: str, collection_id: str) -> ImageAnswer:
    """The answer about an image. The IDs are filled in if it leaves them out."""
    return _image(answer, {"image_id": image_id, **_filled(answer, collection_id)}, image_id)


def _image(answer: Answer, found: dict[str, Any], image_id: str | None) -> ImageAnswer:
    require(answer, found, collection_id=str, image_id=str, image_time=str)
    if image_id not in (None, found["image_id"]):
        raise BadAnswer(
            f"the answer is about another image, {found['image_id']!r:.120}", status=answer.status
        )
    if not can_be_id(found["image_id"]):
        raise unusable(answer, "image_id", found["image_id"])
    found["image_time"] = plain_time(found["image_time"])
    if not isinstance(found.get("outdated", False), bool):
        del found["outdated"]
    return cast(ImageAnswer, found)


def can_be_id(text: str) -> bool:
    """Can an image have this ID?"""
    return 1 <= len(text) <= LONGEST_ID and _is_text(text)


def plain_time(text: str) -> str:
    """The time; an empty text, as of a service that does not tell, if it can be none."""
    return text if len(text) <= _LONGEST_TIME else ""


def _filled(answer: Answer, collection_id: str) -> dict[str, Any]:
    """The JSON object in the body, with the collection's ID, which is known without it."""
    return {"collection_id": collection_id, **_object(answer)}


def _object(answer: Answer) -> dict[str, Any]:
    """The JSON object in the body, with the status that HTTP has and some message."""
    return with_status(answer, _json(answer))


def with_status(answer: Answer, found: Any) -> dict[str, Any]:
    """This JSON of the answer, if it is an object, with the status that HTTP has and some
    message."""
    if not isinstance(found, dict):
        raise BadAnswer(
            f"not the collection's JSON but {_beginning(answer)}: {_ADVICE}", status=answer.status
        )
    found["status"] = answer.status
    if not isinstance(found.get("message"), str):
        found["message"] = one_line(answer.reason)
    return found


def _json(answer: Answer) -> Any:
    """The JSON in the body, ``None`` if it has none."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def _beginning(answer: Answer) -> str:
    text = one_line(answer.body.decode("utf-8", "replace"))
    return repr(text[:_SHOWN_CHARACTERS]) if text else "nothing"


def require(answer: Answer, found: object, **types: type) -> None:
    """Raises ``BadAnswer`` unless ``found`` is an object with all these keys, of these types."""
    for key, expected in types.items():
        value = found.get(key) if isinstance(found, dict) else None
        # JSON's true is no number, though Python's is an int.
        if not isinstance(value, expected) or isinstance(value, bool):
            raise unusable(answer, key, value)
        if isinstance(value, str) and not _is_text(value):
            raise unusable(answer, key, value)


def _is_text(value: str) -> bool:
    """Can it be written down? JSON can say half of a character, which is in no encoding."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def unusable(answer: Answer, key: str, value: object) -> BadAnswer:
    """The error that this value is."""
    return BadAnswer(
        f"not the collection's JSON, no usable {key!r} ({value!r:.60}) is in"
        f" {_beginning(answer)}: {_ADVICE}",
        status=answer.status,
    )
