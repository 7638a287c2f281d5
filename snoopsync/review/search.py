"""Have I got this one? Searches the collection for pictures that are like a given one."""

from __future__ import annotations

from typing import Any

from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.retrying import RetryingCollection
from snoopsync.config.settings import Config
from snoopsync.core.errors import Refused
from snoopsync.review.requests import BadRequest
from snoopsync.review.source import Source
from snoopsync.review.view import image_view, printable_json
from snoopsync.runtime.owned_directory import is_own
from snoopsync.sync.components import opened_collection
from snoopsync.sync.resync import COMMAND_PATIENCE_SECONDS

#: How many results are shown.
_MOST_RESULTS = 60


def search(config: Config, source: Source, picture: bytes) -> list[dict[str, Any]]:
    """The images that are like this picture, the nearest first, each with ``rank``, ``kind`` and
    ``group``. Raises ``BadRequest`` for what is not a picture, and ``CollectionError``."""
    if not picture:
        raise BadRequest("There is no picture in the request.")
    if config.collection.embedded and not is_own(config.state.parent):
        raise BadRequest("Only the user of the service can search in its collection.", 403)
    with opened_collection(config, make=False) as inner:
        breaker = CircuitBreaker(RetryPolicy(max_outage_seconds=COMMAND_PATIENCE_SECONDS))
        try:
            answer = RetryingCollection(inner, breaker).search_images(picture, _MOST_RESULTS)
        except Refused as refusal:
            raise BadRequest(f"The collection refuses this picture: {refusal.message}.") from None
    matches = answer["results"][:_MOST_RESULTS]
    ids = [each["id"] for each in matches]
    known = source.ask({"command": "images", "ids": ids, "groups": True})["images"]
    results = []
    for match in matches:
        image = known.get(match["id"]) or _unknown(match)
        results.append(
            {
                **image_view(image),
                "rank": match["rank"],
                "kind": printable_json(match.get("kind")),
                "group": image["group"] and str(image["group"]),
            }
        )
    return results


def _unknown(match: Any) -> dict[str, Any]:
    """An image that the state does not know, with what the collection tells of it."""
    return {
        "image_id": match["id"],
        **dict.fromkeys(("folder", "path", "modified_at", "kind", "rank", "group")),
        **{key: match.get(key) for key in ("label", "width", "height", "size_bytes")},
        "content": match.get("sha256", ""),
        "is_gone": False,
        "has_file": False,
    }
