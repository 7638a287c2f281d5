"""The benchmark of the search counts what it says it counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.eyes import Candidate, Hit, candidates
from tests.benchmarks.recall import Trial, Wrong, joined_scenes
from tests.support.alterations import alterations, original
from tests.support.photographs import Photograph
from tests.support.pictures import photo

#: The photographs' scenes, by number.
SCENES = ("sea", "sea", "wood", "wall")

ALTERED = "half size"
OTHER = "turned 90"


class Scripted:
    """Finds what it is told to, whatever it is asked for."""

    def __init__(self) -> None:
        self.found: list[Hit] = []
        self.added: list[str] = []

    def add(self, image_id: str, data: bytes) -> None:
        self.added.append(image_id)

    def search(self, data: bytes) -> list[Hit]:
        return self.found


@contextmanager
def nothing(_: Path) -> Iterator[Scripted]:
    yield Scripted()


@pytest.fixture
def originals() -> Scripted:
    return Scripted()


@pytest.fixture
def copies() -> Scripted:
    return Scripted()


@pytest.fixture
def trial(originals: Scripted, copies: Scripted) -> Trial:
    return Trial(Candidate("scripted", (50,), 50, nothing), originals, copies)


def test_a_search_for_a_copy_separates_original_scene_and_others(
    trial: Trial, originals: Scripted
) -> None:
    originals.found = [Hit("0", 3, "cropped"), Hit("1", 40, "edited"), Hit("3", 60, "edited")]
    trial.ask(0, ALTERED, b"", SCENES)
    outcome = trial.outcomes[ALTERED]
    assert outcome.asked == [3]
    assert outcome.said == {"cropped": 1}
    assert outcome.same_scene == [40]
    assert outcome.wrong == [Wrong(60, 0, 3)]
    assert outcome.unlike == 2


def test_copies_that_are_not_found_count(trial: Trial) -> None:
    trial.ask(2, ALTERED, b"", SCENES)
    assert trial.outcomes[ALTERED].asked == [None]
    assert trial.outcomes[ALTERED].unlike == 3


def test_a_search_for_an_original_counts_each_alteration_separately(
    trial: Trial, copies: Scripted
) -> None:
    trial.ask(2, ALTERED, b"", SCENES)
    trial.ask(3, OTHER, b"", SCENES)
    mine, strange = copies.added
    copies.found = [Hit(mine, 7, None), Hit(strange, 9, None)]
    trial.ask_other_way(2, b"", SCENES)
    assert trial.outcomes[ALTERED].stored == [7]
    assert trial.outcomes[ALTERED].wrong == []
    assert trial.outcomes[OTHER].stored == [None]
    assert trial.outcomes[OTHER].wrong == [Wrong(9, 2, 3)]


def test_the_embedded_collection_is_a_contender(tmp_path: Path) -> None:
    ours = next(candidates())
    alteration = next(each for each in alterations() if each.name == ALTERED)
    files = [original(photo(seed)) for seed in range(3)]
    with ours.opened(tmp_path / "a") as originals, ours.opened(tmp_path / "b") as copies:
        trial = Trial(ours, originals, copies)
        for number, data in enumerate(files):
            trial.add_original(number, data)
            assert trial.near(data, 0) == [number]
        for number in range(3):
            data = alteration.apply(photo(number), 1)
            trial.ask(number, ALTERED, data, ("a", "b", "c"))
        for number, data in enumerate(files):
            trial.ask_other_way(number, data, ("a", "b", "c"))
    outcome = trial.outcomes[ALTERED]
    assert outcome.asked == outcome.stored
    assert all(rank is not None and rank <= ours.usual for rank in outcome.asked)
    assert not outcome.wrong
    assert outcome.unlike == 12


def test_near_originals_become_one_scene_and_are_printed(
    trial: Trial, originals: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs = [Photograph(name, Path(name), name) for name in ("a", "b", "c")]
    originals.found = [Hit("0", 5, None), Hit("2", 60, None), Hit("1", 61, None)]
    assert joined_scenes(trial, photographs, [b""]) == ["a", "b", "a"]
    assert capsys.readouterr().out == "same scene? a and c\n"
