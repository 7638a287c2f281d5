"""Decoders, and the embedded collection: some rules of decoding show only in what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.pool import Pool
from tests.decoding.helpers import LIMITS
from tests.embedded.conftest import clock, collection, database

__all__ = ["clock", "collection", "database"]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with closing(Pool(1, "tests.support.decoder_work:by_its_content", LIMITS)) as pool:
        yield pool


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with closing(Decoders(1)) as decoders:
        yield decoders
