"""What the metrics of every program have to be like."""

from __future__ import annotations

import re
from collections.abc import Sequence

from prometheus_client.metrics_core import Metric

from snoopsync.runtime.counters import BOUNDS_SECONDS


def assert_conventional(families: Sequence[Metric]) -> None:
    """Counters end in ``_total``, times and sizes have base units, each metric is described, and a
    bucket of the only histogram counts all that is below its bound."""
    assert len({family.name for family in families}) == len(families) > 15
    for family in families:
        assert family.documentation
        assert family.type != "unknown"
        assert re.fullmatch(r"snoopsync_[a-z_]+", family.name)
        assert not re.search(r"_(ms|millis|kb|mb|minutes|hours)(_|$)", family.name)
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
    [durations] = [each for each in families if each.type == "histogram"]
    adds = [
        sample.value
        for sample in durations.samples
        if sample.name.endswith("_bucket") and sample.labels["call"] == "add"
    ]
    assert adds == sorted(adds)
    assert len(adds) == len(BOUNDS_SECONDS) + 1
