"""Stores and removes images, whether or not the collection has them."""

from __future__ import annotations

from contextlib import suppress

from snoopsync.client.sources import rewindable
from snoopsync.core.errors import Conflict, NotFound
from snoopsync.core.protocol import ImageAnswer, ImageCollection, ImageSource

#: The status of an image that was not in the collection before.
_CREATED = 201


def put_image(
    collection: ImageCollection,
    image_id: str,
    image: ImageSource,
    *,
    expected: bool,
    label: str | None = None,
) -> ImageAnswer:
    """Make the collection hold these bytes under this ID, whether or not it already has the ID.

    ``expected``: whether it probably has the ID, so that an update is tried before an addition.
    ``label``: as in ``ImageCollection.add_image``.
    """
    with rewindable(image) as source:
        with suppress(NotFound if expected else Conflict):
            answer = collection.add_image(source(), image_id, expected, label)
            # Adding never overwrites: a service that already has the ID may answer 200 and keep the
            # old bytes.
            if expected or answer["status"] == _CREATED:
                return answer
        return collection.add_image(source(), image_id, not expected, label)


def remove_image(collection: ImageCollection, image_id: str) -> bool:
    """Remove an image, if the collection has it. Returns whether the collection had it."""
    try:
        collection.delete_image(image_id)
    except NotFound:
        return False
    return True
