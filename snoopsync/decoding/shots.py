"""The answer of a decoder to the question for the shot: what a camera wrote about it, as bytes.

As in ``layout``, the answer is not trusted: lengths are fixed, and every value is checked.
"""

from __future__ import annotations

import math
import struct
from datetime import datetime

from snoopsync.core.shots import Shot
from snoopsync.decoding.layout import InvalidAnswer, refusal_in

#: The question for the shot.
SHOT_QUESTION = b"S"

_SHOT_TAG = b"S"

#: Make, model, serial number, unique ID, time, fraction, seconds and bias of the exposure. Texts
#: are padded with zeros. A number that is unknown is not a number (NaN).
_SHOT = struct.Struct("<64s64s64s64s19s9sdd")

#: The most bytes of a text, and the most digits of the fraction.
MOST_BYTES, MOST_DIGITS = 64, 9

#: No camera exposes for longer, or by more stops.
MOST_SECONDS, MOST_BIAS = 1e6, 1e3


def pack_shot(shot: Shot) -> bytes:
    """The answer to the question for the shot."""
    texts = (
        *(shot.make, shot.model, shot.serial, shot.unique_id),
        "" if shot.taken_at is None else shot.taken_at.isoformat(),
        shot.fraction,
    )
    numbers = (
        math.nan if each is None else each for each in (shot.exposure_seconds, shot.exposure_bias)
    )
    return _SHOT_TAG + _SHOT.pack(*(text.encode("utf-8", "replace") for text in texts), *numbers)


def unpack_shot(answer: bytes) -> Shot:
    """The shot in this answer. Raises ``Refused`` and ``InvalidAnswer`` as ``layout.unpack``
    does."""
    refusal = refusal_in(answer)
    if refusal is not None:
        raise refusal
    try:
        if answer[:1] == _SHOT_TAG:
            *texts, seconds, bias = _SHOT.unpack(answer[1:])
            make, model, serial, unique_id, taken_at, fraction = (
                text.rstrip(b"\0").decode("utf-8", "ignore") for text in texts
            )
            if fraction == "" or (fraction.isascii() and fraction.isdigit()):
                return Shot(
                    *(make, model, serial),
                    datetime.fromisoformat(taken_at).replace(tzinfo=None) if taken_at else None,
                    fraction,
                    unique_id,
                    _number(seconds, 0.0, MOST_SECONDS),
                    _number(bias, -MOST_BIAS, MOST_BIAS),
                )
    except (struct.error, ValueError):
        pass
    raise InvalidAnswer


def _number(value: float, lowest: float, highest: float) -> float | None:
    """The number; ``None`` if it is unknown. Raises ``ValueError`` if it is out of range."""
    if math.isnan(value):
        return None
    if not lowest <= value <= highest:
        raise ValueError("out of range")
    return value
