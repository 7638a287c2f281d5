"""The campaign of hostile pictures in a folder, with few of them."""

from __future__ import annotations

import pytest

from tests.campaigns.hostile import run

SEED = 7


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_service_mirrors_the_good_pictures_and_refuses_the_hostile_ones() -> None:
    report = run(good=100, hostile=40, seed=SEED, seconds=300.0)
    assert report.wrong == [], report.table()
    assert report.mirrored == 100
    assert report.reasons.total() == 40
