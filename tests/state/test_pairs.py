"""The list of pairs: each pair once, newest first, with its state."""

from __future__ import annotations

from snoopsync.core.keep import Keep, Reason
from snoopsync.state.database import Database
from snoopsync.state.pairs import Pairs, PairState
from tests.support.duplicates import NOW, PHOTOS, Duplicates, like, sent


def test_the_newest_pairs_are_listed_first(world: Duplicates) -> None:
    sent(world, "abc")
    world.search("a", like("b"), at=1.0)
    world.search("a", like("b"), like("c"), at=2.0)
    assert [pair.found_at for pair in world.pairs.listed()] == [2.0, 1.0]
    assert world.pairs.count_open() == 2


def test_a_listing_in_several_pages_has_each_pair_once(
    database: Database, world: Duplicates
) -> None:
    """Many pairs may have been found at one moment."""
    sent(world, "abcdefgh")
    for at, names in ((1.0, "bcd"), (2.0, "bcdefgh")):
        world.search("a", *map(like, names), at=at)
    world.dismiss("a", "c")
    pairs = Pairs(database, page_rows=3)
    listed = [(pair.found_at, pair.b.image_id) for pair in pairs.listed()]
    assert listed == [(2.0, name) for name in "efgh"] + [(1.0, name) for name in "bd"]
    assert len(list(pairs.listed(everything=True))) == 7


def test_n_files_with_the_same_bytes_are_n_minus_1_identical_pairs(world: Duplicates) -> None:
    for name in "abc":
        world.send(name, "same")
    world.search("a", like("b", 9, picture="same"))
    pairs = list(world.pairs.listed())
    assert [(pair.rank, pair.kind, pair.identical) for pair in pairs] == [
        (0, "identical", True)
    ] * 2
    assert pairs[0].keep(PHOTOS, NOW) == Keep("a", Reason.FIRST_PATH)


def test_an_image_without_a_file_has_the_last_path_of_its_file(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b"))
    world.state.intents.forget("a")
    world.searches.settle()
    [pair] = world.pairs.listed(everything=True)
    assert pair.state is PairState.GONE
    assert (pair.a.rel_path, pair.a.was and pair.a.was.text) == (None, "a.jpg")
    assert pair.keep(PHOTOS, NOW) is None


def test_a_rank_for_other_bytes_does_not_count(world: Duplicates) -> None:
    sent(world, "ab")
    world.search("a", like("b", 5))
    world.send("b", "changed")
    world.search("b", like("a", 30))
    assert [pair.rank for pair in world.pairs.listed()] == [30]
