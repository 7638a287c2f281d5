"""Groups are the connected components of links."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.groups import components, separated

Links = set[tuple[int, int]]


def neighbours_in(links: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {number: set() for number in range(20)}
    for one, other in links:
        found[one].add(other)
        found[other].add(one)
    return found


def split(starts: Iterable[int], links: Links) -> list[set[int]]:
    return separated(starts, neighbours_in(links).__getitem__)


def test_a_group_that_is_still_connected_has_no_pieces() -> None:
    assert split([1, 2], {(1, 3), (3, 2)}) == []


def test_the_smaller_piece_is_found_without_exploring_the_larger_one() -> None:
    chain = {(number, number + 1) for number in range(2, 19)}
    asked = []
    linked = neighbours_in(chain | {(0, 1)})

    def neighbours(number: int) -> set[int]:
        asked.append(number)
        return linked[number]

    assert separated([1, 2], neighbours) == [{0, 1}]
    assert len(asked) < 8


def test_members_without_links_are_pieces_of_their_own() -> None:
    pieces = split([1, 2, 3], set())
    assert len(pieces) == 2
    assert set.union(*pieces) < {1, 2, 3}


def test_components_are_the_connected_sets() -> None:
    assert sorted(map(sorted, components([(1, 2), (3, 4), (2, 5)]))) == [[1, 2, 5], [3, 4]]


LINKS = st.sets(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda each: each[0] < each[1])
)


@given(LINKS, st.data())
def test_the_pieces_are_those_of_a_full_exploration(links: Links, data: st.DataObject) -> None:
    ended: Links = data.draw(st.sets(st.sampled_from(sorted(links)))) if links else set()
    for group in components(links):
        starts = {end for link in ended for end in link if end in group}
        left = links - ended
        expected = [set(piece) & group for piece in components([*left, *((n, n) for n in group)])]
        expected = [piece for piece in expected if piece]
        pieces = split(starts, left)
        assert len(pieces) == max(0, len(expected) - 1) if starts else pieces == []
        assert all(piece in expected for piece in pieces)
