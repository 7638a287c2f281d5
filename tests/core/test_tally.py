"""What a resync counts: each image once, whatever was done about it."""

from __future__ import annotations

import pytest

from snoopsync.core.model import RelPath
from snoopsync.core.tally import ImageOutcome, Tally

A, B = RelPath("photos", b"a.jpg"), RelPath("photos", b"b.jpg")
ELSEWHERE = RelPath("scans", b"a.jpg")


@pytest.fixture
def tally() -> Tally:
    return Tally({"photos"})


def test_an_image_is_counted_once_and_by_the_first_of_its_fates(tally: Tally) -> None:
    for fate in (ImageOutcome.RENAMED, ImageOutcome.ADDED, ImageOutcome.UPDATED):
        tally.note(A, "a", fate)
    tally.note(B, "b", ImageOutcome.RENAMED)
    assert tally.done == 2
    assert tally.end(unsent=()) == {ImageOutcome.ADDED: 1, ImageOutcome.RENAMED: 1}


def test_an_image_of_another_folder_is_not_counted(tally: Tally) -> None:
    tally.note(ELSEWHERE, "a", ImageOutcome.ADDED)
    tally.note_deleted(ELSEWHERE)
    assert tally.done == 0


def test_a_deletion_without_a_path_is_counted(tally: Tally) -> None:
    tally.note_deleted(A)
    tally.note_deleted(None)
    assert (tally.done, tally.deleted) == (2, 2)


def test_an_image_whose_last_bytes_were_not_sent_is_not_counted_at_the_end(tally: Tally) -> None:
    tally.note(A, "a", ImageOutcome.UPDATED)
    tally.note(B, "b", ImageOutcome.UPDATED)
    assert tally.end(unsent={"b"}) == {ImageOutcome.UPDATED: 1}


def test_only_deletions_are_counted_after_the_end(tally: Tally) -> None:
    tally.end(unsent=())
    tally.note(A, "a", ImageOutcome.ADDED)
    tally.note_deleted(A)
    assert tally.done == 1
    assert tally.end(unsent=()) == {}
