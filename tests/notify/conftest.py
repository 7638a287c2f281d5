"""The fixtures of this package."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def everything_is_logged() -> Iterator[None]:
    logger = logging.getLogger("snoopsync")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)
