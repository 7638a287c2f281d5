"""Finds what other owners added that is like the images of one owner.

An owner's own searches find what the collection already has. They do not find what others add
later, so the owner asks for that from time to time, page by page. Only the images of other owners
are searched for. Images with the same bytes are searched for once on each page, and one of the
owner's images stands for all with its bytes. So the work grows in proportion to the images that
others add, even if all of them are copies of one picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from snoopsync.core.errors import Refused
from snoopsync.core.protocol import ChangedPair
from snoopsync.embedded.answers import MAX_ID_CHARACTERS
from snoopsync.storage.images import ImageStore, StoredImage

if TYPE_CHECKING:
    from snoopsync.embedded.search import SimilarImage, SimilaritySearch

#: How many images of other owners one page examines.
PAGE_IMAGES = 32

#: How many of the owner's images each of them is paired with.
NEAREST = 16

#: No moment is larger than this.
_END_OF_TIME = 2**63 - 1


def check_changes(since: int | None, owner: str) -> None:
    """Raises ``Refused`` (400) if these are no moment and no owner."""
    if since is not None and not 0 <= since <= _END_OF_TIME:
        raise Refused("`since` must be the `next` of an earlier answer", status=400)
    if not 1 <= len(owner) < MAX_ID_CHARACTERS:
        raise Refused("`owner` must be the beginning of image IDs, without the dot", status=400)


def changes_page(
    store: ImageStore, search: Callable[[], SimilaritySearch], since: int, owner: str
) -> tuple[list[ChangedPair], int]:
    """The pairs of one page, in the order in which the others' images were added, and the moment up
    to which the page looked. ``search`` is called if anything has to be compared."""
    # This is read first: an image that is added meanwhile belongs to the next page.
    present = store.position().moment
    prefix = f"{owner}."
    others = store.others_after(since, prefix, PAGE_IMAGES)
    found: dict[bytes, list[SimilarImage]] = {}
    pairs = []
    for other in others:
        if other.sha256 not in found:
            described = store.find_described(other.image_id)
            if described is None or described.stored.sha256 != other.sha256:
                continue  # removed or changed meanwhile; a later page has the change
            features, version = described.features, described.stored.version
            found[other.sha256] = search().nearest_of_owner(features, version, NEAREST, prefix)
        pairs += [_pair(each, other) for each in found[other.sha256]]
    last = others[-1].moment if others else 0
    return pairs, last if len(others) == PAGE_IMAGES else max(present, last)


def _pair(similar: SimilarImage, other: StoredImage) -> ChangedPair:
    return {
        "id": similar.stored.image_id,
        "match": other.image_id,
        "rank": similar.score.rank,
        "kind": similar.score.kind,
        "label": other.label,
    }
