"""When a place has come to rest: two looks, apart by the time to settle, that saw the same."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.model import Fingerprint, RelPath
from snoopsync.core.settle import Settler

SETTLE, DELETE_AFTER = 3, 7
PLACE = RelPath("photos", b"a.jpg")
OTHER = RelPath("photos", b"b.jpg")
ELSEWHERE = RelPath("scans", b"a.jpg")


def version(number: int) -> Fingerprint:
    return Fingerprint(1, 100, number, number)


@pytest.fixture
def settler() -> Settler:
    return Settler(SETTLE, DELETE_AFTER)


def test_a_file_settles_when_it_was_unchanged_for_the_settle_time(settler: Settler) -> None:
    assert not settler.see(PLACE, version(1), now=0)
    assert not settler.see(PLACE, version(1), now=SETTLE - 1)
    assert settler.see(PLACE, version(1), now=SETTLE)
    assert PLACE not in settler


def test_a_changed_file_waits_again(settler: Settler) -> None:
    settler.see(PLACE, version(1), now=0)
    assert not settler.see(PLACE, version(2), now=SETTLE)
    assert not settler.see(PLACE, version(2), now=2 * SETTLE - 1)
    assert settler.see(PLACE, version(2), now=2 * SETTLE)


def test_a_file_that_came_back_waits_again_when_it_is_gone(settler: Settler) -> None:
    settler.see(PLACE, None, now=0)
    settler.see(PLACE, version(1), now=1)
    assert not settler.see(PLACE, None, now=2)
    assert not settler.see(PLACE, None, now=DELETE_AFTER)
    assert settler.see(PLACE, None, now=2 + DELETE_AFTER)


def test_a_path_is_due_once_and_not_before_its_time(settler: Settler) -> None:
    settler.see(PLACE, version(1), now=0)
    settler.see(OTHER, None, now=0)
    assert settler.next_due() == SETTLE
    assert settler.due(SETTLE - 1) == []
    assert settler.due(SETTLE) == [PLACE]
    assert settler.due(SETTLE) == []
    assert settler.next_due() == DELETE_AFTER
    assert settler.due(DELETE_AFTER) == [OTHER]


def test_a_path_that_was_dropped_and_seen_again_is_due_once(settler: Settler) -> None:
    settler.see(PLACE, version(1), now=0)
    settler.drop(PLACE)
    settler.see(PLACE, version(1), now=1)
    assert settler.due(10) == [PLACE]


def test_a_path_that_was_gone_and_is_back_is_due_once(settler: Settler) -> None:
    settler.see(PLACE, None, now=0)
    settler.see(PLACE, version(1), now=1)
    assert settler.due(10) == [PLACE]


def test_a_path_is_due_exactly_at_its_time(settler: Settler) -> None:
    """With any times, also those whose sum and difference are rounded."""
    settler = Settler(0.7, 5.0)
    settler.see(PLACE, version(1), now=0.1)
    due = settler.next_due()
    assert due is not None
    assert settler.due(due) == [PLACE]
    assert settler.see(PLACE, version(1), due)


def test_only_the_paths_of_a_missing_folder_are_forgotten(settler: Settler) -> None:
    for rel_path in (PLACE, OTHER, ELSEWHERE):
        settler.see(rel_path, None, now=0)
    settler.drop_folder("photos")
    assert list(settler.waiting()) == [(ELSEWHERE, None)]
    assert settler.gone("photos") == frozenset()
    assert settler.gone("scans") == {ELSEWHERE}
    assert settler.due(DELETE_AFTER) == [ELSEWHERE]


def test_without_a_settle_time_one_observation_is_enough() -> None:
    settler = Settler(0.0, 0.0)
    assert settler.see(PLACE, version(1), now=5.0)
    assert settler.see(PLACE, None, now=5.0)
    assert settler.next_due() is None


@pytest.mark.parametrize("flapping", [False, True])
def test_a_path_that_never_settles_takes_bounded_memory(settler: Settler, flapping: bool) -> None:
    for step in range(10_000):
        now = step / 1000
        gone = flapping and step % 2 == 0
        settler.see(PLACE, None if gone else version(step), now)
        if step % 7 == 0:
            settler.drop(PLACE)
    assert entries(settler) < 10


def entries(settler: Settler) -> int:
    """How much it remembers, in whatever it remembers it."""
    return sum(len(value) for value in vars(settler).values() if hasattr(value, "__len__"))


@dataclass
class Witness:
    """What the settler should know of one place: every look since it was last at rest."""

    looks: list[tuple[int, Fingerprint | None]] = field(default_factory=list)

    def see(self, seen: Fingerprint | None, now: int) -> bool:
        self.looks.append((now, seen))
        same_since = now
        for at, before in reversed(self.looks):
            if before != seen:
                break
            same_since = at
        rests = now - same_since >= (DELETE_AFTER if seen is None else SETTLE)
        if rests:
            self.looks.clear()
        return rests

    @property
    def is_waiting(self) -> bool:
        return bool(self.looks)

    @property
    def is_gone(self) -> bool:
        return bool(self.looks) and self.looks[-1][1] is None


rel_paths = st.sampled_from([PLACE, OTHER, ELSEWHERE])
observations = st.none() | st.integers(1, 2).map(version)
looks = st.tuples(rel_paths, observations)
events = st.lists(
    st.tuples(st.integers(0, 9), looks | st.tuples(st.just("drop"), rel_paths) | st.just("due")),
    max_size=60,
)


@given(events)
def test_a_file_is_settled_if_every_look_of_the_time_was_the_same(
    history: list[tuple[int, object]],
) -> None:
    """At rest means: the same in every look of the time it takes. ``gone`` is exact, and whatever
    waits is named once its time has come, once."""
    settler = Settler(SETTLE, DELETE_AFTER)
    witnesses = {rel_path: Witness() for rel_path in (PLACE, OTHER, ELSEWHERE)}
    now = 0
    for pause, event in history:
        now += pause
        match event:
            case "due":
                named = settler.due(now)
                assert len(named) == len(set(named))
                for rel_path in named:
                    witness = witnesses[rel_path]
                    # The same as before: then it has been that for long enough.
                    seen = witness.looks[-1][1]
                    assert witness.see(seen, now)
                    assert settler.see(rel_path, seen, now)
            case ("drop", RelPath() as rel_path):
                settler.drop(rel_path)
                witnesses[rel_path].looks.clear()
            case (RelPath() as rel_path, (None | Fingerprint()) as seen):
                assert settler.see(rel_path, seen, now) == witnesses[rel_path].see(seen, now)
        waiting = {rel_path for rel_path, witness in witnesses.items() if witness.is_waiting}
        assert {rel_path for rel_path, _ in settler.waiting()} == waiting
        assert len(settler) == len(waiting)
        for folder in ("photos", "scans"):
            assert settler.gone(folder) == {
                rel_path
                for rel_path, witness in witnesses.items()
                if rel_path.folder == folder and witness.is_gone
            }
    waiting = {rel_path for rel_path, witness in witnesses.items() if witness.is_waiting}
    assert set(settler.due(now + DELETE_AFTER)) == waiting
    assert settler.next_due() is None
