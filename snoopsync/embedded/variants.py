"""Views of a picture: what it would look like cropped, uncropped, with a strip less, or turned a
little. Searching for the codes of all of them finds what was cropped, framed or set straight.

They are made from the 64 x 64 shades of grey that are kept of a picture, so that a search for a
stored picture sees no less than one for a new file.

A crop, and what undoes one, is a matrix for the lines and one for the columns. The transform of
the view is made by their products with the transform's own matrix, computed once: no pixel of it
is ever needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq
from snoopsync.embedded.kinds import Kind

Luma = NDArray[np.float64]

_SIDE = pdq.SIDE


class Span(NamedTuple):
    """A part of one axis of the picture, which goes from 0 to 1; it may reach beyond."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Cut:
    """The picture between these lines and columns. ``kind``: what one is to the other, if this
    view of the one is the other. What it has beyond the picture's edge is the picture's mirror
    image or, if ``has_bar``, one shade."""

    kind: Kind
    lines: Span
    columns: Span
    has_bar: bool = False

    @property
    def is_part(self) -> bool:
        """Is nothing in it that is not in the picture?"""
        return _is_within(self.lines) and _is_within(self.columns)


@dataclass(frozen=True, slots=True)
class Turn:
    """The picture turned about its middle, by degrees, and shown ``zoom`` times as large."""

    degrees: float
    zoom: float


WHOLE = Span(0.0, 1.0)


def _cuts() -> Iterator[Cut]:
    # A crop that takes 10 % is found within some 2 % of where it was made: so its grid is finer.
    for share, steps in ((0.05, 3), (0.1, 4)):
        places = [step / (steps - 1) for step in range(steps)]
        corners = [(down, across) for down in places for across in places]
        for down, across in corners if steps % 2 else [*corners, (0.5, 0.5)]:
            yield Cut(Kind.CROPPED, _shrunk(share, down), _shrunk(share, across))
            yield Cut(Kind.CROPPED, _grown(share, down), _grown(share, across))
    # A caption, or a bar, along one side.
    for share in (0.07, 0.1, 0.135, 0.18):
        for side in (0.0, 1.0):
            for make, has_bar in ((_shrunk, False), (_grown, True)):
                span = make(share, side)
                yield Cut(Kind.BORDERED, span, WHOLE, has_bar)
                yield Cut(Kind.BORDERED, WHOLE, span, has_bar)


def _shrunk(share: float, place: float) -> Span:
    """A span that leaves out this share of the picture; ``place`` 0: at its end, 1: its start."""
    return Span(place * share, place * share + 1 - share)


def _grown(share: float, place: float) -> Span:
    """The span of which the picture is what is left when this share has been left out."""
    width = 1 / (1 - share)
    return Span(-place * (width - 1), width - place * (width - 1))


_CLOSE_TURNS = (-1.0, 1.0)

#: What close views leave out of the picture, or add to it.
_CLOSE_SHARE = 0.02

#: How much of a difference must go by seeing the picture so.
_CLOSER = 0.5


def _turns() -> Iterator[Turn]:
    for degrees in _CLOSE_TURNS:
        yield Turn(degrees, 1.0)
    # Set straight: with empty corners, or cropped until there are none.
    for degrees in (-3.0, 3.0):
        for zoom in (1.0, 0.92, 1 / 0.92):
            yield Turn(degrees, zoom)


CUTS = tuple(_cuts())
TURNS = tuple(_turns())

#: What the codes of ``deep_codes`` say of a picture that they match.
DEEP_KINDS = tuple(cut.kind for cut in CUTS) + (Kind.ROTATED,) * len(TURNS)


def deep_codes(luma: Luma) -> NDArray[np.uint8]:
    """The codes of all views, a row each, in the order of ``DEEP_KINDS``."""
    cutting = _cutting()
    spans = np.einsum("sik,kl->sil", cutting.waves, luma)
    cut = np.einsum("nil,njl->nij", spans[cutting.lines], cutting.waves[cutting.columns])
    turned = (pdq.waves_of(view)[None] for view in _turned(luma))
    return pdq.codes_of(np.concatenate([cut, *turned]))


def _turned(luma: Luma) -> Luma:
    """All of ``TURNS``, one after the other."""
    turning = _turning()
    turned = np.einsum("npk,nkp->np", turning.weights, luma.ravel()[turning.pixels])
    views: Luma = turned.reshape(-1, _SIDE, _SIDE)
    return views


def beside(cut: Cut, ours: Luma, theirs: Luma) -> NDArray[np.float64]:
    """The pixels that one of two pictures has beside the other, if ``cut`` of ours is theirs."""
    if cut.is_part:
        return ours[~_covered(cut.lines, cut.columns)]
    return theirs[~_covered(_where_ours_is(cut.lines), _where_ours_is(cut.columns))]


def _is_within(span: Span) -> bool:
    return span.start >= 0 and span.end <= 1


def _where_ours_is(span: Span) -> Span:
    """Where, in the view, the picture is of which it is the view."""
    width = span.end - span.start
    return Span(-span.start / width, (1 - span.start) / width)


def _covered(lines: Span, columns: Span) -> NDArray[np.bool_]:
    middle = (np.arange(_SIDE) + 0.5) / _SIDE
    down, across = ((middle >= span.start) & (middle <= span.end) for span in (lines, columns))
    covered: NDArray[np.bool_] = down[:, None] & across
    return covered


class CloseViews:
    """The views of a picture that are so near to it that their codes are, too: a little cropped,
    uncropped or turned."""

    def __init__(self, luma: Luma) -> None:
        cuts = [cut for cut in _close_cuts() if cut.lines != WHOLE or cut.columns != WHOLE]
        views = [_sampled(luma, cut) for cut in cuts]
        turned = _turned(luma)[: len(_CLOSE_TURNS)]
        self._kinds = [cut.kind for cut in cuts] + [Kind.ROTATED] * len(turned)
        self._views = np.stack([_normal(view) for view in (luma, *views, *turned)])

    def kind_of(self, theirs: Luma) -> Kind | None:
        """What another picture is to this one, if it lies much better upon one of the views than
        upon the picture itself."""
        differences = 1 - np.einsum("vp,p->v", self._views, _normal(theirs))
        best = int(differences.argmin())
        if not best or differences[best] > _CLOSER * differences[0]:
            return None
        return self._kinds[best - 1]


def _close_cuts() -> Iterator[Cut]:
    for make in (_shrunk, _grown):
        spans = (WHOLE, *(make(_CLOSE_SHARE, place) for place in (0.0, 0.5, 1.0)))
        for lines in spans:
            for columns in spans:
                yield Cut(Kind.CROPPED, lines, columns)


def _normal(luma: Luma) -> NDArray[np.float64]:
    """The picture as a vector of length 1, of which brightness and contrast are no part."""
    vector = (luma - luma.mean()).ravel()
    length = float(np.sqrt(np.einsum("p,p->", vector, vector)))
    normal: NDArray[np.float64] = vector / length if length else vector
    return normal


def _sampled(luma: Luma, cut: Cut) -> Luma:
    lines, columns = _sampling(cut.lines), _sampling(cut.columns)
    view: Luma = np.einsum("il,jl->ij", np.einsum("ik,kl->il", lines, luma), columns)
    return view


class _Cutting(NamedTuple):
    """``waves``: for each span that is used, the matrix from the picture's lines to the waves
    along the span. ``lines``, ``columns``: which of them each cut takes."""

    waves: NDArray[np.float64]
    lines: list[int]
    columns: list[int]


@lru_cache(maxsize=1)
def _cutting() -> _Cutting:
    # Of which shade a bar is does not matter: what is even has no waves.
    used = [((cut.lines, cut.has_bar), (cut.columns, cut.has_bar)) for cut in CUTS]
    spans = sorted({each for both in used for each in both})
    waves = np.stack([np.einsum("ik,kl->il", pdq.DCT, _sampling(*each)) for each in spans])
    lines, columns = zip(*used, strict=True)
    return _Cutting(waves, [*map(spans.index, lines)], [*map(spans.index, columns)])


@lru_cache(maxsize=64)  # all that there are, each 32 KiB
def _sampling(span: Span, has_bar: bool = False) -> NDArray[np.float64]:
    """The matrix from the picture's lines to those of a span of it. Lines of a bar are 0."""
    middle = (np.arange(_SIDE) + 0.5) / _SIDE
    at = (span.start + (span.end - span.start) * middle) * _SIDE - 0.5
    first, share = np.floor(at).astype(int), at % 1
    matrix = np.zeros((_SIDE, _SIDE))
    for line in range(_SIDE):
        matrix[line, _inside(first[line])] += 1 - share[line]
        matrix[line, _inside(first[line] + 1)] += share[line]
    if has_bar:
        matrix[(at < 0) | (at > _SIDE - 1)] = 0
    return matrix


class _Turning(NamedTuple):
    """For each turn and each pixel of its view: the four pixels that it lies between, and how much
    of each it has (with the four along the second axis here, the third there)."""

    pixels: NDArray[np.int64]
    weights: NDArray[np.float64]


@lru_cache(maxsize=1)
def _turning() -> _Turning:
    middle = (_SIDE - 1) / 2
    down, across = np.indices((_SIDE, _SIDE)).reshape(2, -1) - middle
    pixels, weights = [], []
    for turn in TURNS:
        cosine = math.cos(math.radians(turn.degrees)) / turn.zoom
        sine = math.sin(math.radians(turn.degrees)) / turn.zoom
        line, column = (
            cosine * down - sine * across + middle,
            sine * down + cosine * across + middle,
        )
        above, left = np.floor(line).astype(int), np.floor(column).astype(int)
        low, right = line % 1, column % 1
        corners = ((above + below, left + beside) for below in (0, 1) for beside in (0, 1))
        pixels.append(np.stack([_inside(y) * _SIDE + _inside(x) for y, x in corners]))
        weights.append(
            np.stack(
                [(1 - low) * (1 - right), (1 - low) * right, low * (1 - right), low * right], axis=1
            )
        )
    return _Turning(np.stack(pixels), np.stack(weights))


def _inside(place: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is mirrored at the picture's edges to be at this place."""
    place = np.where(place < 0, -1 - place, place)
    return np.where(place >= _SIDE, 2 * _SIDE - 1 - place, place)
