"""The fixtures of this package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snoopsync.log.setup import release


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    yield
    release()
