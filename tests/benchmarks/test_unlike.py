"""The benchmark of unlike pictures counts correctly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.unlike import (
    Answer,
    Subject,
    drawn_subjects,
    hard_ones,
    measure,
    photographed_subjects,
    report,
)
from tests.support.diagrams import DIAGRAMS, RESAVED
from tests.support.photographs import Photograph
from tests.support.pictures import photo

CROP = "crop 15 % of the area"


def subjects() -> list[Subject]:
    """Two photographs of the sea, and one of a wood."""
    photographs = [
        Photograph(name, Path(name), scene)
        for name, scene in (("a", "sea"), ("b", "sea"), ("c", "wood"))
    ]
    return photographed_subjects(photographs, 1)


def test_own_copies_scenes_and_false_matches_are_told_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    answers = [
        Answer("0 original", [("1 original", 40, "edited"), ("2 original", 45, "edited")]),
        Answer(f"0 {CROP}", [("0 original", 33, "cropped")]),
        Answer(f"1 {CROP}", []),
        Answer("2 original", []),
    ]
    report(subjects(), answers, {})
    printed = capsys.readouterr().out
    (row,) = (line for line in printed.splitlines() if line.startswith(CROP))
    assert row.removeprefix(CROP).split()[:3] == ["2", "50.0", "100.0"]
    assert "unlike pairs: 6 in both directions, 3 in one" in printed
    assert "other photographs of a scene: 1" in printed
    assert "false match: 45 edited a original c original" in printed


def test_hashes_within_their_limit_match(capsys: pytest.CaptureFixture[str]) -> None:
    near, far = np.zeros(8, np.uint8), np.full(8, 255, np.uint8)
    hashes = {
        "0 original": {"pHash-64": near},
        f"0 {CROP}": {"pHash-64": far},
        "2 original": {"pHash-64": near},
    }
    report(subjects(), [Answer("0 original", []), Answer(f"0 {CROP}", [])], hashes)
    printed = capsys.readouterr().out.splitlines()
    crop = next(line for line in printed if line.startswith(CROP))
    assert crop.split()[-4] == "0.0"
    photographs = next(line for line in printed if line.startswith("photographs"))
    assert photographs.split()[-4] == "2"


def test_drawings_have_all_kinds_and_the_same_files_each_time() -> None:
    drawn = drawn_subjects(2)
    assert {each.group for each in drawn} == set(DIAGRAMS)
    assert [name for name, _ in drawn[0].versions()] == ["original", *RESAVED]
    for each in drawn:
        assert dict(each.versions()) == dict(each.versions())


def test_the_same_letters_in_another_colour_are_of_one_scene() -> None:
    scenes = {each.name: each.scene for each in drawn_subjects(21)}
    assert scenes["initials 20"] == scenes["initials 12"] == "initials 12"
    assert scenes["initials 19"] == "initials 19"


def test_a_photograph_has_as_many_copies_as_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photo(1).save(path)
    (subject,) = photographed_subjects([Photograph("a", path, "a")], 2)
    names = [name for name, _ in subject.versions()]
    assert len(names) == 3
    assert set(names) < {"original", *(each.name for each in hard_ones())}


@pytest.mark.integration
def test_drawings_are_measured_with_the_embedded_collection(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [each for each in drawn_subjects(2) if each.group == "curves"]
    measure(tmp_path, chosen, "curves", 1)
    first = capsys.readouterr().out
    assert "curves: 2 pictures, 14 with their copies" in first
    assert "unlike pairs: 98 in both directions" in first
    measure(tmp_path, chosen, "curves", 1)
    again = capsys.readouterr().out
    assert again.splitlines()[1:] == first.splitlines()[1:]
