"""What a search means for the pairs that are known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.alerts import Pair, judge
from snoopsync.protocol import Match


def match(image_id: str, rank: int) -> Match:
    return {"id": image_id, "rank": rank}


def test_a_match_up_to_the_highest_rank_is_a_pair() -> None:
    findings = judge("b", [match("a", 0), match("c", 50), match("d", 51)], (), max_rank=50)
    assert findings.pairs == ((Pair("a", "b"), 0), (Pair("b", "c"), 50))
    assert findings.gone == ()


def test_an_image_is_no_pair_with_itself() -> None:
    assert judge("a", [match("a", 0)], (), max_rank=50).pairs == ()


def test_a_pair_that_the_search_does_not_find_any_more_is_gone() -> None:
    known = [Pair("a", "b"), Pair("a", "c"), Pair("a", "d")]
    findings = judge("a", [match("b", 3), match("c", 60)], known, max_rank=50)
    assert findings.pairs == ((Pair("a", "b"), 3),)
    assert findings.gone == (Pair("a", "c"), Pair("a", "d"))


def test_with_a_highest_rank_of_zero_only_the_same_picture_counts() -> None:
    findings = judge("a", [match("b", 0), match("c", 1)], (), max_rank=0)
    assert findings.pairs == ((Pair("a", "b"), 0),)


@given(st.text(max_size=5), st.text(max_size=5))
def test_a_pair_is_the_same_whoever_comes_first(one: str, other: str) -> None:
    assert Pair.of(one, other) == Pair.of(other, one)
    assert Pair.of(one, other).a <= Pair.of(one, other).b
