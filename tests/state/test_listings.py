"""The scan's short cut: a listing is taken for known only while the rows say the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from snoopsync.core.model import File, Fingerprint, FingerprintKey, RelPath
from snoopsync.core.planner import Action, Add, Delete, Forget, Refresh, Rename, Update
from snoopsync.core.selection import Selection
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.listings import Listings, StoredListing, digest_of

FOLDER = "photos"
DIRECTORY = b"2024"
A = RelPath(FOLDER, DIRECTORY + b"/a.jpg")
B = RelPath(FOLDER, DIRECTORY + b"/b.jpg")
ELSEWHERE = RelPath(FOLDER, b"2025/a.jpg")
OLD_KEY: FingerprintKey = (1, 100, 1, 1)
NEW_KEY: FingerprintKey = (1, 100, 2, 2)
LISTING = {b"a.jpg": OLD_KEY}
LEARNED = StoredListing(
    digest_of(LISTING), (7, 8, 9), 10, [b"a.jpg"], [b"june", b"july"], '{"symlink": {"": 2}}'
)
OLD, NEW = File(Fingerprint(*OLD_KEY)), File(Fingerprint(*NEW_KEY))


@pytest.fixture
def state(database: Database) -> State:
    """A state with one image, whose listing has been learned."""
    state = State(database)
    state.intents.apply([Add(A, "a", OLD)], 0.0)
    state.intents.confirm(Sent("a", 1, b"1" * 32, None), 0.0)
    learn(state, DIRECTORY, LEARNED)
    return state


def learn(state: State, directory: bytes, listing: StoredListing) -> None:
    listings = begun(state)
    listings.learn(directory, listing)
    listings.save()


def begun(state: State) -> Listings:
    listings = state.listings(FOLDER)
    listings.begin()
    return listings


def is_known(state: State) -> bool:
    """Is the listing that was learned still stored?"""
    return begun(state).of(DIRECTORY) is not None


def test_a_stored_listing_is_known_after_a_restart(state: State) -> None:
    assert begun(state).of(DIRECTORY) == LEARNED


def test_a_listing_without_a_stamp_is_stored_by_its_digest_alone(state: State) -> None:
    learn(state, DIRECTORY, StoredListing(digest_of(LISTING)))
    assert begun(state).of(DIRECTORY) == StoredListing(digest_of(LISTING))


@pytest.mark.parametrize(
    "listing",
    [
        {},
        {b"a.jpg": NEW_KEY},
        {b"b.jpg": OLD_KEY},
        {**LISTING, b"b.jpg": OLD_KEY},
    ],
    ids=["gone", "changed", "renamed", "more"],
)
def test_another_listing_has_another_digest(listing: dict[bytes, FingerprintKey]) -> None:
    assert digest_of(listing) != digest_of(LISTING)


def test_the_listing_of_another_directory_or_folder_is_not_known(state: State) -> None:
    assert begun(state).of(b"2025") is None
    assert state.listings("scans").of(DIRECTORY) is None


@pytest.mark.parametrize(
    "action",
    [
        Add(B, "b", OLD),
        Update(A, "a", NEW),
        Refresh(A, "a", NEW),
        Rename(ELSEWHERE, "a", OLD, A),
        Rename(B, "a", OLD, A),
        Forget(A, "a"),
    ],
    ids=lambda action: type(action).__name__,
)
def test_a_changed_row_makes_its_directory_unknown(state: State, action: Action) -> None:
    before = begun(state)
    state.intents.apply([action], 0.0)
    assert before.of(DIRECTORY) is None
    assert not is_known(state)


def test_a_rename_into_a_directory_makes_it_unknown(state: State) -> None:
    state.intents.apply([Add(ELSEWHERE, "b", OLD)], 0.0)
    assert is_known(state)
    state.intents.apply([Rename(B, "b", OLD, ELSEWHERE)], 0.0)
    assert not is_known(state)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.deletions.hold(["a"]),
        lambda state: state.folders.rename(FOLDER, "scans"),
        lambda state: state.intents.forget("a"),
    ],
    ids=["held", "folder renamed", "forgotten"],
)
def test_any_change_of_a_row_makes_its_directory_unknown(
    state: State, change: Callable[[State], None]
) -> None:
    change(state)
    assert not is_known(state)


def test_a_change_that_a_scan_does_not_compare_leaves_it_known(state: State) -> None:
    state.intents.apply([Delete(A, "a")], 0.0)
    state.intents.confirm(Sent("a", 2, b"2" * 32, None), 1.0)
    state.intents.postpone("a", 9.0)
    assert is_known(state)


def test_another_selection_makes_every_directory_of_the_folder_unknown(state: State) -> None:
    state.unwanted.apply("scans", Selection(None, ()))
    assert is_known(state)
    state.unwanted.apply(FOLDER, Selection(None, ()))
    assert not is_known(state)


def test_digests_of_an_abandoned_run_are_dropped(state: State) -> None:
    listings = begun(state)
    listings.learn(DIRECTORY, StoredListing(b"another"))
    listings.begin()
    listings.save()
    assert begun(state).of(DIRECTORY) == LEARNED


def test_listings_of_directories_that_are_gone_are_forgotten(state: State) -> None:
    learn(state, b"gone", StoredListing(digest_of({}), (1, 2, 3), 4))
    begun(state).keep_only({DIRECTORY, b""})
    assert begun(state).of(b"gone") is None
    assert is_known(state)
