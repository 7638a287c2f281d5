"""The features of a picture as columns of the database: which column has which field.

Column names are older than some field names: ``image.thumbnail`` has the digest, ``small.inside``
the thumbnail without borders.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.features import FEED_VERSION, Features, Thumbnail

#: Columns of the table ``image``, with the field of ``Features`` that each has.
_IMAGE_FIELDS = {
    "sha256": "sha256",
    "size_bytes": "size_bytes",
    "kind": "kind",
    "width": "width",
    "height": "height",
    "thumbnail": "digest",
    "quality": "quality",
    "codes": "codes",
    "trimmed": "trimmed",
}

#: Columns of the table ``small``, with the field of ``Thumbnail`` that each has.
_SMALL_FIELDS = {"grey": "grey", "colour": "colour", "alpha": "alpha", "inside": "inner"}

#: What ``features_from`` reads, of ``FEATURES_TABLES``.
FEATURES_COLUMNS = ", ".join((*_IMAGE_FIELDS, "evidence", *_SMALL_FIELDS, "frames"))
FEATURES_TABLES = "image LEFT JOIN small ON small.moment = image.moment"

#: What ``image_values`` and ``small_values`` write.
IMAGE_COLUMNS = (*_IMAGE_FIELDS, "evidence", "feed")
SMALL_COLUMNS = (*_SMALL_FIELDS, "frames")


def image_values(features: Features) -> tuple[Any, ...]:
    """The values of ``IMAGE_COLUMNS`` for features that this version made."""
    evidence = features.evidence
    return (
        *(getattr(features, field) for field in _IMAGE_FIELDS.values()),
        None if evidence is None else json.dumps(asdict(evidence)),
        FEED_VERSION,
    )


def small_values(features: Features) -> tuple[Any, ...] | None:
    """The values of ``SMALL_COLUMNS``; ``None`` for features without a thumbnail."""
    if features.thumbnail is None:
        return None
    shades = (getattr(features.thumbnail, field) for field in _SMALL_FIELDS.values())
    return (*shades, features.frames)


def features_from(row: Sequence[Any]) -> Features:
    """The features in a row of ``FEATURES_COLUMNS``."""
    fields = dict(zip(_IMAGE_FIELDS.values(), row, strict=False))
    evidence, *shades, frames = row[len(fields) :]
    grey = shades[0]
    return Features(
        **fields,
        thumbnail=None
        if grey is None
        else Thumbnail(**dict(zip(_SMALL_FIELDS.values(), shades, strict=True))),
        frames=1 if frames is None else frames,
        evidence=None if evidence is None else FileEvidence(**json.loads(evidence)),
    )
