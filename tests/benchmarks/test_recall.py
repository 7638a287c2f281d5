"""The benchmark of the search counts correctly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.benchmarks.engines import Contender, Hit, contenders
from tests.benchmarks.recall import FalseMatch, Trial, joined_scenes
from tests.support.alterations import alterations, original
from tests.support.photographs import Photograph
from tests.support.pictures import photo

#: The scenes of the photographs, by number.
SCENES = ("sea", "sea", "wood", "wall")

ALTERED = "half size"
OTHER = "turned 90"


class ScriptedEngine:
    """Every search finds the same pictures, which a test sets."""

    def __init__(self) -> None:
        self.found: list[Hit] = []
        self.added: list[str] = []

    def add(self, image_id: str, data: bytes) -> None:
        self.added.append(image_id)

    def search(self, data: bytes) -> list[Hit]:
        return self.found


@contextmanager
def scripted_engine(_: Path) -> Iterator[ScriptedEngine]:
    yield ScriptedEngine()


@pytest.fixture
def originals() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def copies() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def trial(originals: ScriptedEngine, copies: ScriptedEngine) -> Trial:
    return Trial(Contender("scripted", (50,), 50, scripted_engine), originals, copies)


def test_a_search_for_a_copy_separates_original_scene_and_others(
    trial: Trial, originals: ScriptedEngine
) -> None:
    originals.found = [Hit("0", 3, "cropped"), Hit("1", 40, "edited"), Hit("3", 60, "edited")]
    trial.search_originals(0, ALTERED, b"", SCENES)
    result = trial.results[ALTERED]
    assert result.copy_ranks == [3]
    assert result.found_kinds == {"cropped": 1}
    assert result.same_scene == [40]
    assert result.false_matches == [FalseMatch(60, 0, 3)]
    assert result.unlike_pairs == 2


def test_copies_that_are_not_found_count(trial: Trial) -> None:
    trial.search_originals(2, ALTERED, b"", SCENES)
    assert trial.results[ALTERED].copy_ranks == [None]
    assert trial.results[ALTERED].unlike_pairs == 3


def test_a_search_for_an_original_counts_each_alteration_separately(
    trial: Trial, copies: ScriptedEngine
) -> None:
    trial.search_originals(2, ALTERED, b"", SCENES)
    trial.search_originals(3, OTHER, b"", SCENES)
    own, other = copies.added
    copies.found = [Hit(own, 7, None), Hit(other, 9, None)]
    trial.search_copies(2, b"", SCENES)
    assert trial.results[ALTERED].original_ranks == [7]
    assert trial.results[ALTERED].false_matches == []
    assert trial.results[OTHER].original_ranks == [None]
    assert trial.results[OTHER].false_matches == [FalseMatch(9, 2, 3)]


def test_the_embedded_collection_is_a_contender(tmp_path: Path) -> None:
    ours = next(contenders())
    alteration = next(each for each in alterations() if each.name == ALTERED)
    files = [original(photo(seed)) for seed in range(3)]
    with ours.open(tmp_path / "a") as originals, ours.open(tmp_path / "b") as copies:
        trial = Trial(ours, originals, copies)
        for number, data in enumerate(files):
            trial.add_original(number, data)
            assert trial.near(data, 0) == [number]
        for number in range(3):
            data = alteration.apply(photo(number), 1)
            trial.search_originals(number, ALTERED, data, ("a", "b", "c"))
        for number, data in enumerate(files):
            trial.search_copies(number, data, ("a", "b", "c"))
    result = trial.results[ALTERED]
    assert result.copy_ranks == result.original_ranks
    assert all(rank is not None and rank <= ours.usual for rank in result.copy_ranks)
    assert not result.false_matches
    assert result.unlike_pairs == 12


def test_near_originals_become_one_scene_and_are_printed(
    trial: Trial, originals: ScriptedEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    photographs = [Photograph(name, Path(name), name) for name in ("a", "b", "c")]
    originals.found = [Hit("0", 5, None), Hit("2", 60, None), Hit("1", 61, None)]
    assert joined_scenes(trial, photographs, [b""]) == ["a", "b", "a"]
    assert capsys.readouterr().out == "same scene? a and c\n"
