"""The campaign of nodes behind a load balancer, for a minute."""

from __future__ import annotations

import pytest

from tests.campaigns.nodes.campaign import FAULTS, run, why_not

SEED = 7
SECONDS = 5.0
SAMPLES = 15


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_confirmed_change_is_lost_whatever_is_killed() -> None:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    report = run(SEED, SECONDS, SAMPLES)
    assert report.wrong == [], report.table()
    assert len(report.rows) == len(FAULTS)
