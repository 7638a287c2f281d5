"""Duplicates are remembered as pairs, and each is told of once."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.core.duplicates import FoundPair, Pair, PairChanges
from snoopsync.core.keep import FolderOrder, Keep, Reason
from snoopsync.core.model import File, Fingerprint, FolderState, RelPath
from snoopsync.core.planner import Add, Update
from snoopsync.core.protocol import PictureFacts
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.pairs import Due, Pairs, PairState, SearchResult, Side

AB = Pair("nas.a", "nas.b")
SHA256 = b"1" * 32


@pytest.fixture
def pairs(database: Database, state: State) -> Pairs:
    for number, name in enumerate("abc"):
        sync(state, name, number)
    pairs = Pairs(database)
    for due in pairs.due(9):
        record(pairs, due, PairChanges((), ()), 0.0)
    return pairs


def record(pairs: Pairs, due: Due, findings: PairChanges, at: float) -> None:
    pairs.record([SearchResult(due, findings, at)])


def rel_path(name: str) -> RelPath:
    return RelPath("photos", f"{name}.jpg".encode())


def sync(state: State, name: str, version: int = 1, sha256: bytes = SHA256) -> None:
    file = File(Fingerprint(ord(name), 1, version, version))
    state.intents.apply([Add(rel_path(name), f"nas.{name}", file)], now=1.0)
    for item in state.intents.outstanding(9, 1.0, ["photos"]):
        state.intents.confirm(Sent(item.record.image_id, item.mark, sha256, None), now=1.0)


def find(pairs: Pairs, pair: Pair, rank: int = 5, now: float = 1.0) -> None:
    record(pairs, Due(pair.b, SHA256), PairChanges((FoundPair(pair, rank),), ()), now)


def tell(pairs: Pairs) -> list[Pair]:
    untold = pairs.unalerted()
    pairs.mark_alerted(untold)
    return [Pair(item.a.image_id, item.b.image_id) for item in untold]


def test_a_confirmed_image_is_searched_for_once(state: State, pairs: Pairs) -> None:
    sync(state, "a", version=2)
    assert pairs.due(9) == [Due("nas.a", SHA256)]
    record(pairs, Due("nas.a", SHA256), PairChanges((), ()), 1.0)
    assert pairs.due(9) == []


def test_an_image_that_was_sent_again_during_its_search_is_still_due(
    state: State, pairs: Pairs
) -> None:
    sync(state, "a", version=2)
    [due] = pairs.due(9)
    sync(state, "a", version=3, sha256=b"2" * 32)
    record(pairs, due, PairChanges((), ()), 1.0)
    assert pairs.due(9) == [Due("nas.a", b"2" * 32)]


def test_a_pair_is_alerted_once_also_after_a_restart(path: Path, pairs: Pairs) -> None:
    find(pairs, AB)
    assert tell(pairs) == [AB]
    find(pairs, AB, rank=7)
    with closing(Database(path)) as again:
        assert tell(Pairs(again)) == []
        [duplicate] = Pairs(again).listed()
    assert (duplicate.rank, duplicate.found_at, duplicate.finder) == (7, 1.0, "nas.b")
    assert (duplicate.a.rel_path, duplicate.b.rel_path) == (rel_path("a"), rel_path("b"))


def test_an_alert_that_was_not_given_is_given_later(path: Path, pairs: Pairs) -> None:
    find(pairs, AB)
    with closing(Database(path)) as again:
        assert tell(Pairs(again)) == [AB]


def test_a_dismissed_pair_is_never_alerted_again(pairs: Pairs) -> None:
    find(pairs, AB)
    assert pairs.dismiss(AB)
    find(pairs, AB)
    assert tell(pairs) == []
    assert list(pairs.listed()) == []
    assert [item.state for item in pairs.listed(everything=True)] == [PairState.DISMISSED]
    assert not pairs.dismiss(Pair("nas.a", "nas.z"))


def test_a_pair_that_ended_is_alerted_if_it_is_found_again(pairs: Pairs) -> None:
    find(pairs, AB)
    tell(pairs)
    assert pairs.current("nas.a") == {AB}
    record(pairs, Due("nas.a", b"9" * 32), PairChanges((), (AB,)), 2.0)
    assert pairs.current("nas.a") == set()
    assert pairs.count_open() == 0
    assert [item.state for item in pairs.listed(everything=True)] == [PairState.GONE]
    find(pairs, AB, now=3.0)
    assert tell(pairs) == [AB]
    assert [item.found_at for item in pairs.listed()] == [3.0]


def test_a_dismissed_pair_that_ended_and_is_found_again_stays_dismissed(pairs: Pairs) -> None:
    find(pairs, AB)
    pairs.dismiss(AB)
    record(pairs, Due("nas.a", b"9" * 32), PairChanges((), (AB,)), 2.0)
    find(pairs, AB)
    assert tell(pairs) == []


def compared(pairs: Pairs, finder: str, finders: bytes, other: str, others: bytes) -> None:
    """A search for ``finder`` found the ``other``, with these bytes."""
    pair = Pair.of(finder, other)
    record(pairs, Due(finder, finders), PairChanges((FoundPair(pair, 5, sha256=others),), ()), 1.0)


def test_a_dismissal_is_about_the_bytes_whatever_ids_they_have(pairs: Pairs) -> None:
    compared(pairs, "nas.a", b"1" * 32, "nas.b", b"2" * 32)
    assert pairs.dismiss(AB)
    compared(pairs, "nas.new", b"2" * 32, "nas.a", b"1" * 32)
    compared(pairs, "nas.x", b"1" * 32, "nas.y", b"2" * 32)
    assert tell(pairs) == []
    assert {item.state for item in pairs.listed(everything=True)} == {PairState.DISMISSED}
    compared(pairs, "nas.x", b"1" * 32, "nas.z", b"3" * 32)
    assert tell(pairs) == [Pair("nas.x", "nas.z")]


def test_a_third_copy_of_dismissed_bytes_is_alerted(pairs: Pairs) -> None:
    compared(pairs, "nas.a", b"1" * 32, "nas.b", b"1" * 32)
    assert pairs.dismiss(AB)
    compared(pairs, "nas.c", b"1" * 32, "nas.a", b"1" * 32)
    assert tell(pairs) == [Pair("nas.a", "nas.c")]


def test_a_pair_of_unknown_bytes_does_not_count_as_dismissed(pairs: Pairs) -> None:
    find(pairs, AB)
    assert pairs.dismiss(AB)
    find(pairs, Pair("nas.a", "nas.c"))
    assert tell(pairs) == [Pair("nas.a", "nas.c")]


def test_a_pair_that_only_one_of_two_searches_finds_stays_until_the_bytes_change(
    pairs: Pairs,
) -> None:
    compared(pairs, "nas.a", b"1" * 32, "nas.b", b"2" * 32)
    record(pairs, Due("nas.b", b"2" * 32), PairChanges((), (AB,)), 2.0)
    assert tell(pairs) == [AB]
    record(pairs, Due("nas.b", b"3" * 32), PairChanges((), (AB,)), 3.0)
    assert pairs.count_open() == 0
    compared(pairs, "nas.a", b"1" * 32, "nas.b", b"3" * 32)
    record(pairs, Due("nas.a", b"1" * 32), PairChanges((), (AB,)), 4.0)
    assert pairs.count_open() == 0


def test_a_pair_has_the_kind_of_the_last_search(pairs: Pairs) -> None:
    find(pairs, AB)
    record(pairs, Due("nas.b", SHA256), PairChanges((FoundPair(AB, 4, "cropped", OTHER),), ()), 2.0)
    [duplicate] = pairs.listed()
    assert duplicate.kind == "cropped"


LARGE: PictureFacts = {"width": 400, "height": 300, "size_bytes": 9}
SMALL: PictureFacts = {"width": 40, "height": 30, "size_bytes": 10}
OTHER = b"2" * 32
PHOTOS = {"photos": (0, False)}


def compare_sizes(pairs: Pairs) -> None:
    """The picture of ``nas.a`` is large, that of ``nas.b`` small."""
    found = FoundPair(AB, 5, "reencoded", SHA256, LARGE)
    record(pairs, Due("nas.b", OTHER), PairChanges((found,), (), SMALL), 1.0)


@pytest.fixture
def sized(state: State, pairs: Pairs) -> Pairs:
    sync(state, "b", version=7, sha256=OTHER)
    compare_sizes(pairs)
    return pairs


def kept(pairs: Pairs, order: FolderOrder = PHOTOS) -> Keep | None:
    [duplicate] = pairs.listed(everything=True)
    return duplicate.keep(order, now=2e9)


def test_a_pair_has_the_reported_facts_of_both_pictures(sized: Pairs) -> None:
    [duplicate] = sized.listed()
    assert (duplicate.a.facts, duplicate.b.facts) == (LARGE, SMALL)
    assert kept(sized) == Keep("nas.a", Reason.MORE_PIXELS)


def test_a_changed_file_is_not_judged_by_its_earlier_facts(state: State, sized: Pairs) -> None:
    state.intents.apply([Update(rel_path("a"), "nas.a", File(Fingerprint(97, 1, 9, 9)))], now=2.0)
    [duplicate] = sized.listed()
    assert duplicate.a.facts == {}
    assert kept(sized) is None


def test_a_file_whose_deletion_is_held_is_never_kept(state: State, sized: Pairs) -> None:
    state.deletions.hold(["nas.a"])
    assert kept(sized) is None


def test_a_file_in_a_folder_that_is_missing_is_never_kept(
    database: Database, state: State, sized: Pairs
) -> None:
    state.folders.save(FolderRow("photos", b"/photos", None, None, True, FolderState.MISSING))
    assert kept(sized) is None
    state.folders.save(FolderRow("photos", b"/photos", None, None, True, FolderState.OK))
    assert kept(sized) == Keep("nas.a", Reason.MORE_PIXELS)


def test_a_file_outside_of_the_configured_folders_is_never_kept(state: State, sized: Pairs) -> None:
    assert kept(sized, {}) is None
    state.intents.forget("nas.a")
    assert kept(sized) is None


def test_an_image_without_a_file_has_the_last_path_of_its_file(state: State, sized: Pairs) -> None:
    state.intents.forget("nas.a")
    [duplicate] = sized.listed(everything=True)
    assert duplicate.a == Side("nas.a", None, rel_path("a"), LARGE)


def test_files_with_the_same_bytes_are_identical_whatever_the_service_reports(
    pairs: Pairs,
) -> None:
    find(pairs, AB)  # both were confirmed with these bytes
    [duplicate] = pairs.listed()
    assert (duplicate.kind, duplicate.identical) == ("identical", True)
    assert kept(pairs) == Keep("nas.a", Reason.FIRST_PATH)


def test_of_two_ranks_for_the_same_bytes_the_lower_one_counts(pairs: Pairs) -> None:
    ab = FoundPair(AB, 30, "edited", b"2" * 32)
    record(pairs, Due("nas.a", SHA256), PairChanges((ab,), ()), 1.0)
    ba = FoundPair(AB, 4, "cropped", SHA256)
    record(pairs, Due("nas.b", b"2" * 32), PairChanges((ba,), ()), 1.0)
    for _ in range(2):
        [duplicate] = pairs.listed()
        assert (duplicate.rank, duplicate.kind) == (4, "cropped")
        record(pairs, Due("nas.a", SHA256), PairChanges((ab,), ()), 1.0)


def test_a_rank_for_other_bytes_does_not_count(pairs: Pairs) -> None:
    compared(pairs, "nas.a", b"1" * 32, "nas.b", b"2" * 32)
    changed = FoundPair(AB, 30, sha256=b"1" * 32)
    record(pairs, Due("nas.b", b"3" * 32), PairChanges((changed,), ()), 2.0)
    assert [item.rank for item in pairs.listed()] == [30]


def test_each_side_has_the_rank_of_its_last_search(pairs: Pairs) -> None:
    """A new version of the collection has other ranks."""
    ab, ba = FoundPair(AB, 4, sha256=b"2" * 32), FoundPair(AB, 5, sha256=SHA256)
    for rank in (4, 30):
        for finder, sha256, found in (("nas.a", SHA256, ab), ("nas.b", b"2" * 32, ba)):
            findings = PairChanges((replace(found, rank=rank),), ())
            record(pairs, Due(finder, sha256), findings, 1.0)
    assert [item.rank for item in pairs.listed()] == [30]


def test_a_rank_that_the_other_search_no_longer_gives_does_not_count(pairs: Pairs) -> None:
    record(
        pairs, Due("nas.a", SHA256), PairChanges((FoundPair(AB, 30, sha256=b"2" * 32),), ()), 1.0
    )
    record(pairs, Due("nas.b", b"2" * 32), PairChanges((FoundPair(AB, 4, sha256=SHA256),), ()), 1.0)
    record(pairs, Due("nas.b", b"2" * 32), PairChanges((), (AB,)), 2.0)
    assert [item.rank for item in pairs.listed()] == [30]


def test_all_images_can_be_searched_for_again(pairs: Pairs) -> None:
    assert pairs.due(9) == []
    pairs.search_again()
    assert len(pairs.due(9)) == 3


def test_a_pair_whose_other_image_is_being_sent_again_is_not_judged_yet(
    state: State, pairs: Pairs
) -> None:
    """A collection that has lost both gets them back one by one: that is no news of a pair."""
    find(pairs, AB)
    tell(pairs)
    file = File(Fingerprint(ord("b"), 1, 9, 9))
    state.intents.apply([Update(rel_path("b"), "nas.b", file)], now=2.0)
    record(pairs, Due("nas.a", SHA256), PairChanges((), (AB,)), 2.0)
    assert pairs.current("nas.a") == {AB}
    find(pairs, AB)
    assert tell(pairs) == []


def test_the_pairs_of_a_forgotten_image_are_gone(state: State, pairs: Pairs) -> None:
    find(pairs, AB)
    find(pairs, Pair("nas.b", "nas.c"))
    state.intents.forget("nas.a")
    assert [(item.a.image_id, item.b.image_id) for item in pairs.listed()] == [("nas.b", "nas.c")]
    assert pairs.knows("nas.a")
    assert not pairs.knows("nas.z")


def test_a_match_outside_of_the_folders_has_no_path(pairs: Pairs) -> None:
    find(pairs, Pair("nas.b", "other.1"))
    [duplicate] = pairs.listed()
    assert duplicate.b == Side("other.1", None)


def test_the_newest_pairs_are_listed_first(pairs: Pairs) -> None:
    find(pairs, AB, now=1.0)
    find(pairs, Pair("nas.a", "nas.c"), now=2.0)
    assert [item.found_at for item in pairs.listed()] == [2.0, 1.0]
    assert pairs.count_open() == 2


def test_a_listing_in_several_pages_has_each_pair_once(database: Database, pairs: Pairs) -> None:
    """Many pairs may have been found at one moment."""
    pairs = Pairs(database, page_rows=3)
    known = [Pair("nas.a", f"nas.{number}") for number in range(10)]
    for number, pair in enumerate(known):
        find(pairs, pair, now=number // 5)
    pairs.dismiss(known[1])
    listed = [(item.found_at, item.a.image_id, item.b.image_id) for item in pairs.listed()]
    assert listed == [(number // 5, *known[number]) for number in (5, 6, 7, 8, 9, 0, 2, 3, 4)]
    assert len(list(pairs.listed(everything=True))) == 10
