"""Finds regions of a picture, and their codes, by which a part of a picture is found in another.

A region is a square around a blob: a spot that is brighter or darker than its surroundings. Blobs
are found at any size, so a picture that was cropped, enlarged or put into another picture keeps
most of them. The code of a region has 63 bits, the signs of its 8 x 8 longest waves without the
mean. Because signs need no median, the code of a region's mirrored or turned form consists of the
same bits, moved and inverted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from snoopsync.decoding.border import Box
from snoopsync.decoding.features import MAX_REGIONS

#: A region: its code, the place of its middle and its radius (half of its side). All three are
#: in 255ths: of the picture's width, of its height, and of the longer of both.
REGION = np.dtype([("code", "<u8"), ("x", "u1"), ("y", "u1"), ("radius", "u1")])

#: The unit of a region's place and radius, as a share.
UNIT = 1 / 255

#: The waves along each side of a region, and its pixels.
WAVES = 8
_PIXELS = 16

#: The order of the waves in a code, the longest first.
_ORDER = np.argsort(
    [(down * down + across * across) for down in range(WAVES) for across in range(WAVES)],
    kind="stable",
)

#: A code's lowest bits that turning and mirroring exchange among themselves: those of the mean,
#: which is always 0, and of the 21 longest waves.
LONG_WAVES = 22

#: Regions of at least 128 pixels are read from a picture that is smaller by this factor, which
#: takes less time. It still has twice the pixels that a code needs.
_REDUCTION = 4

_DCT = np.cos(
    np.pi / (2 * _PIXELS) * np.outer(np.arange(WAVES), 2 * np.arange(_PIXELS) + 1)
).astype(np.float32)

#: The longer side of the largest level in pixels, the shorter side of the smallest level, and how
#: many levels have half the size of another.
_LARGEST_LEVEL = 112
_SMALLEST_LEVEL = 14
_LEVELS_PER_HALF = 3

#: The radius of a region, in pixels of the level in which its blob is found.
_RADIUS = 4.9

#: The smallest difference between a blob and its surroundings, in shades. Below this, blobs are
#: noise.
_MIN_CONTRAST = 1.0

#: Two blobs are the same one if their sizes differ by less than this factor, and the distance of
#: their middles is a smaller share of the smaller radius than this.
_SAME_SIZE = 1.4
_SAME_PLACE = 0.35

#: Numbers for the pixels of a picture, a row for each line.
Plane = NDArray[np.floating[Any]]
Regions = NDArray[np.void]


class _Blobs(NamedTuple):
    """Blobs, the most distinct ones first: their middles and the radiuses of their regions, in
    pixels of the picture, and their contrasts in shades."""

    x: Plane
    y: Plane
    radius: Plane
    contrast: Plane

    def at(self, places: NDArray[Any]) -> _Blobs:
        """The blobs at these places."""
        return _Blobs(*(each[places] for each in self))


def regions_of(grey: Image.Image, box: Box | None = None) -> bytes:
    """The regions of a picture as an array of ``REGION``. ``grey`` has shades of grey. ``box``: the
    part of it in which regions are searched for.

    The regions are in an order of which any beginning is a good choice: of blobs of each size, the
    most distinct ones come first.
    """
    left, top, right, bottom = box or (0, 0, *grey.size)
    blobs = _spread(_blobs(grey, (left, top, right, bottom)))
    regions = np.zeros(len(blobs.x), REGION)
    if len(regions):
        regions["code"] = _codes(grey, blobs)
        width, height = grey.size
        for name, share in (
            ("x", blobs.x / width),
            ("y", blobs.y / height),
            ("radius", blobs.radius / max(width, height)),
        ):
            regions[name] = np.clip(np.rint(share / UNIT), 0, 255)
    return regions.tobytes()


def from_bytes(regions: bytes) -> Regions:
    """The regions in what ``regions_of`` returned."""
    return np.frombuffer(regions, REGION)


def _levels(grey: Image.Image, box: Box) -> Iterator[Plane]:
    """The part of the picture at different sizes, the largest first."""
    width, height = box[2] - box[0], box[3] - box[1]
    largest: Image.Image | None = None
    for number in range(99):
        scale = _LARGEST_LEVEL / max(width, height) / 2 ** (number / _LEVELS_PER_HALF)
        size = round(width * scale), round(height * scale)
        if min(size) < _SMALLEST_LEVEL:
            return
        if largest is None:
            level = largest = grey.resize(size, Image.Resampling.BILINEAR, box)
        else:
            level = largest.resize(size, Image.Resampling.BILINEAR)
        yield np.asarray(level, np.float32)


def _blobs(grey: Image.Image, box: Box) -> _Blobs:
    """The blobs whose region is inside the box."""
    contrasts = [_contrasts(level) for level in _levels(grey, box)]
    peaks = [_largest_around(each) for each in contrasts]
    left, top, right, bottom = box
    found = []
    for number, (contrast, peak) in enumerate(zip(contrasts, peaks, strict=True)):
        smaller, larger = (
            _resampled(peaks[at], contrast.shape) if 0 <= at < len(peaks) else None
            for at in (number - 1, number + 1)
        )
        is_blob = (contrast >= peak) & (contrast > _MIN_CONTRAST)
        for other in (smaller, larger):
            if other is not None:
                is_blob &= contrast >= other
        lines, columns = np.nonzero(is_blob)
        if not len(lines):
            continue
        value = contrast[lines, columns]
        padded = _padded(_padded(contrast, 1).T, 1).T
        down = _vertex(padded[lines, columns + 1], value, padded[lines + 2, columns + 1])
        across = _vertex(padded[lines + 1, columns], value, padded[lines + 1, columns + 2])
        if smaller is None or larger is None:
            size = np.zeros_like(value)
        else:
            size = _vertex(smaller[lines, columns], value, larger[lines, columns])
        height, width = contrast.shape
        pixel = max(right - left, bottom - top) / max(width, height)
        found.append(
            _Blobs(
                left + (columns + 0.5 + across) * ((right - left) / width),
                top + (lines + 0.5 + down) * ((bottom - top) / height),
                _RADIUS * pixel * 2 ** (size / _LEVELS_PER_HALF),
                value,
            )
        )
    if not found:
        return _Blobs(*np.zeros((4, 0), np.float32))
    blobs = _Blobs(*(np.concatenate(each) for each in zip(*found, strict=True)))
    is_inside = np.minimum(blobs.x - left, right - blobs.x) >= blobs.radius
    is_inside &= np.minimum(blobs.y - top, bottom - blobs.y) >= blobs.radius
    inside = np.flatnonzero(is_inside)
    return blobs.at(inside[np.argsort(-blobs.contrast[inside], kind="stable")])


def _contrasts(level: Plane) -> Plane:
    """How much each pixel differs from its surroundings, in shades."""
    near = _blurred(level)
    contrasts: Plane = np.abs(near - _blurred(near))
    return contrasts


def _blurred(plane: Plane) -> Plane:
    """The plane after a binomial filter of five pixels in both directions."""
    for _ in range(2):
        padded = _padded(plane, 2)
        outer, inner = padded[:-4] + padded[4:], padded[1:-3] + padded[3:-1]
        plane = ((outer + 4 * inner + 6 * padded[2:-2]) / 16).T
    return plane


def _padded(plane: Plane, count: int) -> Plane:
    """The plane with its first and its last line repeated this many times. ``np.pad`` takes several
    times as long for small planes."""
    return np.concatenate([plane[:1]] * count + [plane] + [plane[-1:]] * count)


def _largest_around(plane: Plane) -> Plane:
    """For each pixel, the largest value of it and its eight neighbours."""
    for _ in range(2):
        padded = _padded(plane, 1)
        plane = np.maximum(np.maximum(padded[:-2], padded[2:]), padded[1:-1]).T
    return plane


def _resampled(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """The plane in another size: for each pixel, the nearest one."""
    lines, columns = (
        ((np.arange(wanted) + 0.5) * (size / wanted)).astype(np.intp)
        for wanted, size in zip(shape, plane.shape, strict=True)
    )
    resampled: Plane = plane[lines[:, np.newaxis], columns]
    return resampled


def _vertex(before: Plane, value: Plane, after: Plane) -> Plane:
    """Where the parabola through three neighbouring values has its largest value, in steps from the
    middle one."""
    curvature = before - 2 * value + after
    bent = np.where(curvature < 0, curvature, -1)
    vertex: Plane = np.where(curvature < 0, np.clip((before - after) / (2 * bent), -0.5, 0.5), 0)
    return vertex


def _spread(blobs: _Blobs) -> _Blobs:
    """At most ``MAX_REGIONS`` of these blobs. Blobs of different sizes take turns, and no two are
    the same blob."""
    if not len(blobs.x):
        return blobs
    sizes = np.floor(np.log2(blobs.radius / blobs.radius.max()) * 2)
    # The most distinct blob of each size comes first, then the second of each size, and so on.
    order = np.argsort(sizes, kind="stable")
    _, first, count = np.unique(sizes[order], return_index=True, return_counts=True)
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order)) - np.repeat(first, count)
    logarithms = np.log(blobs.radius)
    is_repeated = np.zeros(len(turn), np.bool_)
    chosen: list[int] = []
    for blob in np.lexsort((sizes, turn)).tolist():
        if is_repeated[blob]:
            continue
        chosen.append(blob)
        if len(chosen) == MAX_REGIONS:
            break
        distance = np.hypot(blobs.x - blobs.x[blob], blobs.y - blobs.y[blob])
        near = distance < _SAME_PLACE * np.minimum(blobs.radius, blobs.radius[blob])
        is_repeated |= near & (np.abs(logarithms - logarithms[blob]) < np.log(_SAME_SIZE))
    return blobs.at(np.array(chosen, np.intp))


def _codes(grey: Image.Image, blobs: _Blobs) -> NDArray[np.uint64]:
    """The codes of the regions around these blobs."""
    # All squares are in one picture, since each conversion to an array takes some time.
    sheet = Image.new("L", (_PIXELS, _PIXELS * len(blobs.x)))
    reduced = grey.reduce(_REDUCTION)
    places = zip(blobs.x.tolist(), blobs.y.tolist(), blobs.radius.tolist(), strict=True)
    for number, (x, y, radius) in enumerate(places):
        square = (
            max(0.0, x - radius),
            max(0.0, y - radius),
            min(float(grey.width), x + radius),
            min(float(grey.height), y + radius),
        )
        source = grey
        if radius >= _PIXELS * _REDUCTION:
            left, top, right, bottom = (each / _REDUCTION for each in square)
            source, square = reduced, (left, top, right, bottom)
        pixels = source.resize((_PIXELS, _PIXELS), Image.Resampling.BILINEAR, square)
        sheet.paste(pixels, (0, _PIXELS * number))
    squares = np.asarray(sheet, np.float32).reshape(-1, _PIXELS, _PIXELS)
    lines = np.einsum("ui,nij->nuj", _DCT, squares)
    return _packed(np.einsum("vj,nuj->nuv", _DCT, lines) > 0)


def _packed(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """The codes with these bits (code, 8, 8). The bit of the mean is 0."""
    ordered = bits.reshape(-1, WAVES * WAVES)[:, _ORDER]
    ordered[:, 0] = False
    packed = np.packbits(ordered, axis=1, bitorder="little")
    codes: NDArray[np.uint64] = np.ascontiguousarray(packed).view("<u8").ravel().astype(np.uint64)
    return codes


def _unpacked(codes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """The bits of these codes (code, 8, 8)."""
    ordered = np.unpackbits(codes.astype("<u8").view(np.uint8), bitorder="little")
    bits = np.empty((len(codes), WAVES * WAVES), np.bool_)
    bits[:, _ORDER] = ordered.reshape(bits.shape)
    return bits.reshape(-1, WAVES, WAVES)


@lru_cache(maxsize=1)
def _odd_waves() -> tuple[np.uint64, np.uint64]:
    """The bits of the waves that mirroring negates, and of those that flipping negates."""
    odd = np.arange(WAVES) % 2 == 1
    mirrored, flipped = np.zeros((2, 1, WAVES, WAVES), np.bool_)
    mirrored[0, :, odd] = True
    flipped[0, odd] = True
    return _packed(mirrored)[0], _packed(flipped)[0]


def codes_of_forms(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The codes of these regions in each form of the picture: a row for each of ``pdq.FORMS``."""
    mirrored, flipped = _odd_waves()
    transposed = _packed(_unpacked(codes).swapaxes(1, 2))
    # In the order of ``pdq.FORMS``: transposed, then flipped, then mirrored.
    return np.stack(
        [
            each ^ mask
            for each in (codes, transposed)
            for mask in (np.uint64(0), mirrored, flipped, flipped ^ mirrored)
        ]
    )
