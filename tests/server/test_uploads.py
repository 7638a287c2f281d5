"""The time limit of a body is kept at every moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar, cast

import pytest
from starlette.requests import Request

from snoopsync.core.errors import Refused
from snoopsync.server.uploads import RequestLimits, UploadReceiver


async def in_place(work: Callable[[], object]) -> object:
    return work()


class Dripping:
    """A request whose body never ends."""

    headers: ClassVar[dict[str, str]] = {}

    async def stream(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"x"


def test_a_slow_body_is_refused_though_a_piece_arrives_at_the_deadline(
    tmp_path: Path,
) -> None:
    limits = RequestLimits(body_seconds=0.002, pause_seconds=10.0, body_bytes=1 << 40)
    receiver = UploadReceiver(tmp_path, limits, in_place)

    async def receive_many() -> None:
        for _ in range(300):
            with pytest.raises(Refused, match="too slowly"):
                await asyncio.wait_for(receiver.receive(cast(Request, Dripping())), 5.0)

    asyncio.run(receive_many())
    assert list(tmp_path.iterdir()) == []
