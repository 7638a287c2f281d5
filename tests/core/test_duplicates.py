"""What a search means for the pairs that are known."""

from __future__ import annotations

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core import duplicates as alerts
from snoopsync.core.duplicates import FoundPair, Pair, PairChanges
from snoopsync.core.protocol import Match


def match(image_id: str, rank: int) -> Match:
    return {"id": image_id, "rank": rank}


def changes_of_search(
    image_id: str, matches: list[Match], current: Collection[Pair] = (), *, max_rank: int = 50
) -> PairChanges:
    return alerts.changes_of_search(image_id, matches, current, max_rank)


def test_a_match_up_to_the_highest_rank_is_a_pair() -> None:
    findings = changes_of_search("b", [match("a", 0), match("c", 50), match("d", 51)])
    assert findings.pairs == (FoundPair(Pair("a", "b"), 0), FoundPair(Pair("b", "c"), 50))
    assert findings.gone == ()


def test_an_image_is_not_a_duplicate_of_itself() -> None:
    assert changes_of_search("a", [match("a", 0)]).pairs == ()


def test_a_pair_that_the_search_no_longer_finds_has_ended() -> None:
    known = [Pair("a", "b"), Pair("a", "c"), Pair("a", "d")]
    findings = changes_of_search("a", [match("b", 3), match("c", 60)], known)
    assert findings.pairs == (FoundPair(Pair("a", "b"), 3),)
    assert findings.gone == (Pair("a", "c"), Pair("a", "d"))


def test_with_a_highest_rank_of_zero_only_the_same_picture_counts() -> None:
    findings = changes_of_search("a", [match("b", 0), match("c", 1)], max_rank=0)
    assert findings.pairs == (FoundPair(Pair("a", "b"), 0),)


@given(st.text(max_size=5), st.text(max_size=5))
def test_a_pair_does_not_depend_on_the_order(one: str, other: str) -> None:
    assert Pair.of(one, other) == Pair.of(other, one)
    assert Pair.of(one, other).a <= Pair.of(one, other).b


def test_a_pair_has_the_facts_that_the_collection_reports() -> None:
    told = Match(id="a", rank=3, kind="mirrored", sha256="00ff", width=4, asked={"width": 8})
    findings = changes_of_search("b", [told])
    [pair] = findings.pairs
    assert (pair.kind, pair.sha256, pair.facts) == ("mirrored", b"\x00\xff", {"width": 4})
    assert findings.facts == {"width": 8}
    [odd] = changes_of_search("b", [Match(id="a", rank=3, sha256="no hash")]).pairs
    assert odd.sha256 is None
