"""Each new file gets the unclaimed image that it matches."""

from __future__ import annotations

from snoopsync.core.assignment import assign_images
from snoopsync.core.model import RelPath, image_ids

OWNER = "nas"
A, B, C = (RelPath("photos", name) for name in (b"a.jpg", b"b.jpg", b"c.jpg"))


def own_id(rel_path: RelPath, number: int = 0) -> str:
    ids = image_ids(OWNER, rel_path)
    return [next(ids) for _ in range(number + 1)][number]


def test_of_several_copies_each_gets_the_image_of_its_own_path() -> None:
    """In whatever order the search names them."""
    found = [own_id(C), own_id(B), own_id(A)]
    assigned = assign_images(OWNER, dict.fromkeys((B, A, C), found), found)
    assert assigned == {rel_path: own_id(rel_path) for rel_path in (A, B, C)}


def test_the_image_of_a_path_goes_to_the_file_at_that_path() -> None:
    """A would come first, but the image of B is for B."""
    found = [own_id(B), "nas.elsewhere"]
    assert assign_images(OWNER, {A: found, B: found}, found) == {
        A: "nas.elsewhere",
        B: own_id(B),
    }


def test_a_later_id_of_a_path_belongs_to_the_path_too() -> None:
    found = [own_id(A, 3)]
    assert assign_images(OWNER, {A: found, B: found}, found) == {A: own_id(A, 3)}


def test_no_image_is_assigned_twice() -> None:
    assert assign_images(OWNER, {A: ["nas.x"], B: ["nas.x"]}, ["nas.x"]) == {A: "nas.x"}


def test_a_claimed_image_or_one_that_no_search_found_is_not_assigned() -> None:
    assert assign_images(OWNER, {A: ["nas.x"], B: []}, ["nas.y"]) == {}


def test_the_preferred_match_is_assigned() -> None:
    assert assign_images(OWNER, {A: ["nas.x", "nas.y"]}, ["nas.y", "nas.x"]) == {A: "nas.x"}
