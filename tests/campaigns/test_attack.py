"""The campaign of attacks on the collection as a service, for a minute."""

from __future__ import annotations

import pytest

from tests.campaigns.attack.campaign import run

SEED = 7
SECONDS = 60.0

#: The tests' machine does other things meanwhile.
FLOOR_SECONDS = 1.0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_attack_keeps_honest_clients_waiting() -> None:
    report = run(SEED, SECONDS, FLOOR_SECONDS)
    assert report.wrong == [], report.table()
