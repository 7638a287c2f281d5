"""The collection as a service against hostile pictures: see ``attack``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.attack import attack
from tests.support.process import Installation

#: The length of the long attack, for each seed.
MINUTES = float(os.environ.get("SNOOPSYNC_ATTACK_MINUTES", "2"))


@pytest.mark.integration
def test_hostile_pictures_are_answered_and_do_not_harm_the_service(tmp_path: Path) -> None:
    report = attack(Installation(tmp_path), seed=1, seconds=4.0)
    assert {200, 201, 413, 415} <= set(report.statuses)


@pytest.mark.slow
@pytest.mark.timeout(int(60 * MINUTES) + 900)
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_minutes_of_hostile_pictures_do_not_harm_the_service(tmp_path: Path, seed: int) -> None:
    attack(Installation(tmp_path), seed, 60.0 * MINUTES, heavy=True)
