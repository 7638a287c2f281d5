"""Many thumbnails are aligned together as each pair is alone."""

from __future__ import annotations

from snoopsync.embedded.alignment import Alignment, Box, Suggestion, align
from tests.embedded.helpers import luma
from tests.support.pictures import photo

SIZE = (480, 480)


def test_pairs_that_are_aligned_together_do_not_change_each_other() -> None:
    box = Box(0.3, 0.4, 0.6, 0.7)
    lumas = [luma(photo(seed, SIZE)) for seed in range(3)]
    lumas.append(luma(photo(0, SIZE).point(lambda level: level * 0.6 + 20)))
    suggested = [Suggestion(one, other, box, box) for one in lumas for other in lumas] * 3
    together = align(suggested)
    assert together == [align([each])[0] for each in suggested]
    assert together[3] is not None
    assert None in together


def test_a_scale_beyond_the_limits_is_not_tried() -> None:
    picture = luma(photo(3, SIZE))
    assert align([Suggestion(picture, picture, Box(0, 0, 0.05, 1), Box(0, 0, 1, 1))]) == [None]


def test_nothing_is_aligned_with_nothing() -> None:
    assert align([]) == []


def test_an_alignment_knows_the_part_that_both_pictures_show() -> None:
    alignment = Alignment(2.0, -1.0, 2.0, -1.0)
    assert alignment.shared == Box(0.5, 0.5, 1, 1)
    assert alignment.applied(Box(0.5, 0.5, 0.75, 1)) == Box(0, 0, 0.5, 1)
