"""Converts the features of a picture to columns of the tables ``image`` and ``small``, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.features import FEED_VERSION, Features, Thumbnail

#: The columns of the tables ``image`` and ``small`` that have a field of ``Features`` and of
#: ``Thumbnail``.
_FEATURES = [
    "sha256",
    "size_bytes",
    "kind",
    "width",
    "height",
    "thumbnail",
    "quality",
    "codes",
    "trimmed",
    "regions",
]
_THUMBNAIL = ["grey", "colour", "alpha", "inside"]

#: The columns that are named differently from their field.
_FIELDS = {"thumbnail": "digest", "inside": "inner"}

#: The columns that ``image_values`` and ``small_values`` return values for.
IMAGE_COLUMNS = (*_FEATURES, "evidence", "feed")
SMALL_COLUMNS = (*_THUMBNAIL, "frames")

#: The columns of both tables, joined, that ``features_from`` reads.
FEATURES_COLUMNS = ", ".join((*_FEATURES, "evidence", *SMALL_COLUMNS))


def image_values(features: Features) -> list[Any]:
    """The values of ``IMAGE_COLUMNS`` for features that this version extracted."""
    evidence = None if features.evidence is None else json.dumps(asdict(features.evidence))
    return [*_values(features, _FEATURES), evidence, FEED_VERSION]


def small_values(features: Features) -> list[Any] | None:
    """The values of ``SMALL_COLUMNS``; ``None`` for features without a thumbnail."""
    if features.thumbnail is None:
        return None
    return [*_values(features.thumbnail, _THUMBNAIL), features.frames]


def features_from(row: Sequence[Any]) -> Features:
    """The features in a row of ``FEATURES_COLUMNS``."""
    count = len(_FEATURES)
    evidence, *small, frames = row[count:]
    has_thumbnail = frames is not None
    return Features(
        **_by_field(_FEATURES, row[:count]),
        thumbnail=Thumbnail(**_by_field(_THUMBNAIL, small)) if has_thumbnail else None,
        frames=frames if has_thumbnail else 1,
        evidence=None if evidence is None else FileEvidence(**json.loads(evidence)),
    )


def _values(source: object, columns: Sequence[str]) -> list[Any]:
    return [getattr(source, _FIELDS.get(column, column)) for column in columns]


def _by_field(columns: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {_FIELDS.get(c, c): value for c, value in zip(columns, values, strict=True)}
