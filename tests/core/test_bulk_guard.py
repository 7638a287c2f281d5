"""Which deletions are too many to be sent unasked."""

from __future__ import annotations

import pytest

from snoopsync.core.bulk_guard import Losses, must_hold


@pytest.mark.parametrize(
    ("images", "sent", "coming", "held"),
    [
        (1000, 0, 100, False),  # as many as the percentage allows
        (1000, 0, 101, True),
        (100, 0, 50, False),  # as many as the count allows
        (100, 0, 51, True),
        (100, 0, 90, True),
        (60, 40, 10, False),  # what was sent counts, and so does the folder as it was
        (60, 40, 11, True),
        (10, 0, 10, True),  # nothing would be left
        (9, 0, 9, False),  # of a folder that is small
        (4, 6, 4, True),  # emptied bit by bit
        (5, 5, 4, False),
        (0, 0, 0, False),
    ],
)
def test_deletions_above_both_limits_or_of_a_whole_folder_are_held(
    images: int, sent: int, coming: int, held: bool
) -> None:
    assert must_hold(Losses(images - coming, sent, coming), count=50, percent=10) == held


def test_the_percentage_is_of_the_images_at_the_start_of_the_window() -> None:
    assert Losses(kept=50, sent=40, coming=10).percent == 50.0
    assert Losses(kept=0, sent=0, coming=0).percent == 0.0


def test_with_a_count_of_0_only_the_percentage_decides() -> None:
    assert not must_hold(Losses(900, 0, 100), count=0, percent=10)
    assert must_hold(Losses(899, 0, 101), count=0, percent=10)
    assert must_hold(Losses(4, 0, 1), count=0, percent=0)


def test_images_that_were_never_confirmed_do_not_make_a_folder_full() -> None:
    """While the first import waits for the collection, nothing is known that could be lost."""
    assert not must_hold(Losses(0, 0, 12, unconfirmed=3), count=50, percent=10)
    assert must_hold(Losses(0, 0, 13, unconfirmed=3), count=50, percent=10)
    assert must_hold(Losses(0, 0, 51, unconfirmed=51), count=50, percent=10)
