"""Decides which unclaimed image of the collection each new file matches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from snoopsync.core.model import RelPath, image_ids

#: How many IDs of a path's series are compared with the search results. A later ID is only used
#: after this many pictures were renamed away from the path.
_SERIES_TO_TRY = 8


def assign_images(
    owner: str, matches: Mapping[RelPath, Collection[str]], unclaimed: Collection[str]
) -> dict[RelPath, str]:
    """The unclaimed image that each file matches. ``matches``: for each file, the images that a
    search found to be the same picture, in order of preference. The IDs of a file's own path are
    assigned first, so that each of several copies gets its own image back."""
    assigned: dict[RelPath, str] = {}
    free = set(unclaimed)

    def assign(rel_path: RelPath, wanted: Iterable[str]) -> None:
        same = matches[rel_path]
        found = next(
            (image_id for image_id in wanted if image_id in free and image_id in same), None
        )
        if found is not None:
            assigned[rel_path] = found
            free.discard(found)

    rel_paths = sorted(rel_path for rel_path, same in matches.items() if same)
    for rel_path in rel_paths:
        assign(rel_path, islice(image_ids(owner, rel_path), _SERIES_TO_TRY))
    for rel_path in rel_paths:
        if rel_path not in assigned:
            assign(rel_path, matches[rel_path])
    return assigned
