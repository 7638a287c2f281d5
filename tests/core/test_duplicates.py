"""What a search found, as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.duplicates import (
    NEAREST_LINKS,
    Findings,
    FoundImage,
    Pair,
    findings_of,
    search_limit,
)
from snoopsync.core.protocol import Match


def match(image_id: str, rank: int) -> Match:
    return {"id": image_id, "rank": rank}


def findings(
    image_id: str, *matches: Match, max_rank: int = 50, limit: int = 9, is_cut: bool = False
) -> Findings:
    return findings_of(image_id, matches, max_rank, limit=limit, is_cut=is_cut)


def test_a_match_up_to_the_highest_rank_counts() -> None:
    found = findings("b", match("c", 50), match("a", 0), match("d", 51))
    assert found.images == (FoundImage("a", 0), FoundImage("c", 50))


def test_an_image_is_not_a_duplicate_of_itself() -> None:
    assert findings("a", match("a", 0)).images == ()


def test_with_a_highest_rank_of_zero_only_the_same_picture_counts() -> None:
    found = findings("a", match("b", 0), match("c", 1), max_rank=0)
    assert found.images == (FoundImage("b", 0),)


def test_an_answer_with_as_many_results_as_asked_for_may_lack_some() -> None:
    near = [match(f"n{number}", 3) for number in range(3)]
    assert findings("a", *near, limit=4).is_complete
    assert not findings("a", *near, limit=3).is_complete
    assert not findings("a", *near, limit=4, is_cut=True).is_complete


def test_a_result_beyond_the_rank_proves_that_none_within_it_is_missing() -> None:
    assert findings("a", match("b", 3), match("c", 51), limit=2).is_complete


def test_dismissed_pictures_do_not_count_for_the_limit() -> None:
    assert search_limit(100) >= search_limit(0) + 100 > NEAREST_LINKS + 100


@given(st.text(max_size=5), st.text(max_size=5))
def test_a_pair_does_not_depend_on_the_order(one: str, other: str) -> None:
    assert Pair.of(one, other) == Pair.of(other, one)
    assert Pair.of(one, other).a <= Pair.of(one, other).b


def test_a_found_image_has_the_facts_that_the_collection_reports() -> None:
    told = Match(
        id="a", rank=3, kind="mirrored", sha256="00ff", width=4, asked={"width": 8}, copies=2
    )
    found = findings("b", told)
    [image] = found.images
    assert (image.kind, image.sha256, image.facts) == ("mirrored", b"\x00\xff", {"width": 4})
    assert (image.copies, found.facts) == (2, {"width": 8})
    [odd] = findings("b", Match(id="a", rank=3, sha256="no hash")).images
    assert odd.sha256 is None
