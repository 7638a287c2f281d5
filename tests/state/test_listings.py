"""The scan's short cut: a listing is taken for known only while the rows say the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from snoopsync.core.model import File, Fingerprint, FingerprintKey, RelPath
from snoopsync.core.planner import Action, Add, Delete, Forget, Refresh, Rename, Update
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.listings import Listings

FOLDER = "photos"
DIRECTORY = b"2024"
A = RelPath(FOLDER, DIRECTORY + b"/a.jpg")
B = RelPath(FOLDER, DIRECTORY + b"/b.jpg")
ELSEWHERE = RelPath(FOLDER, b"2025/a.jpg")
OLD_KEY: FingerprintKey = (1, 100, 1, 1)
NEW_KEY: FingerprintKey = (1, 100, 2, 2)
LISTING = {b"a.jpg": OLD_KEY}
OLD, NEW = File(Fingerprint(*OLD_KEY)), File(Fingerprint(*NEW_KEY))


@pytest.fixture
def state(database: Database) -> State:
    """A state with one image, whose listing has been learned."""
    state = State(database)
    state.intents.apply([Add(A, "a", OLD)], 0.0)
    state.intents.confirm(Sent("a", 1, b"1" * 32, None), 0.0)
    listings = begun(state)
    listings.learn(DIRECTORY, LISTING)
    listings.save()
    return state


def begun(state: State) -> Listings:
    listings = state.listings(FOLDER)
    listings.begin()
    return listings


def test_a_listing_that_was_learned_is_known_after_a_restart(state: State) -> None:
    assert begun(state).is_known(DIRECTORY, LISTING)


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
def test_another_listing_is_not_known(state: State, listing: dict[bytes, FingerprintKey]) -> None:
    assert not begun(state).is_known(DIRECTORY, listing)


def test_the_listing_of_another_directory_or_folder_is_not_known(state: State) -> None:
    assert not begun(state).is_known(b"2025", LISTING)
    other = state.listings("scans")
    other.begin()
    assert not other.is_known(DIRECTORY, LISTING)


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
    before.begin()
    assert not before.is_known(DIRECTORY, LISTING)
    assert not begun(state).is_known(DIRECTORY, LISTING)


def test_what_is_renamed_into_a_directory_makes_it_unknown(state: State) -> None:
    state.intents.apply([Add(ELSEWHERE, "b", OLD)], 0.0)
    assert begun(state).is_known(DIRECTORY, LISTING)
    state.intents.apply([Rename(B, "b", OLD, ELSEWHERE)], 0.0)
    assert not begun(state).is_known(DIRECTORY, LISTING)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.deletions.hold(["a"]),
        lambda state: state.folders.rename(FOLDER, "scans"),
        lambda state: state.intents.forget("a"),
    ],
    ids=["held", "folder renamed", "forgotten"],
)
def test_whatever_changes_a_row_makes_its_directory_unknown(
    state: State, change: Callable[[State], None]
) -> None:
    change(state)
    assert not begun(state).is_known(DIRECTORY, LISTING)


def test_what_a_scan_does_not_compare_leaves_it_known(state: State) -> None:
    state.intents.apply([Delete(A, "a")], 0.0)
    state.intents.confirm(Sent("a", 2, b"2" * 32, None), 1.0)
    state.intents.postpone("a", 9.0)
    assert begun(state).is_known(DIRECTORY, LISTING)


def test_what_was_learned_before_a_pause_is_dropped_with_it(state: State) -> None:
    listings = begun(state)
    listings.learn(DIRECTORY, {b"a.jpg": NEW_KEY})
    listings.begin()
    listings.save()
    assert begun(state).is_known(DIRECTORY, LISTING)


def test_nothing_is_kept_of_a_directory_without_files(state: State, database: Database) -> None:
    listings = begun(state)
    listings.learn(b"empty", {})
    listings.save()
    assert database.query("SELECT directory FROM listing") == [(DIRECTORY,)]


def test_what_was_released_is_known_again_after_begin(state: State) -> None:
    listings = begun(state)
    listings.release()
    assert not listings.is_known(DIRECTORY, LISTING)
    listings.begin()
    assert listings.is_known(DIRECTORY, LISTING)
