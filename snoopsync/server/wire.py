"""The bytes of one connection, in both directions, with a limit to what is kept of either."""

from __future__ import annotations

import asyncio

#: So many bytes are taken from a socket at once.
SCRATCH_BYTES = 32 << 10

#: Reading pauses while so many received bytes are unread.
_UNREAD_BYTES = 32 << 10


class Wire(asyncio.BufferedProtocol):
    """A connection as something to await. It never keeps more than 64 KiB of received bytes, and
    ``sent`` says when the operating system has taken all that was written."""

    def __init__(self, scratch: memoryview, *, is_tls: bool) -> None:
        """``scratch`` is where the loop puts what it receives. All wires of one loop may share it:
        it is copied before the loop does anything else."""
        self._scratch = scratch
        self._is_tls = is_tls
        self._received = bytearray()
        self._is_made = self._is_paused = False
        self._readable = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        #: The client has closed its side, or the connection is lost.
        self.gone = asyncio.Event()
        #: The connection is closed, on both sides.
        self.lost = asyncio.Event()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._is_made = True
        # The smallest limit that asyncio's TLS takes: with 0 it would pause and never resume.
        transport.set_write_buffer_limits(high=1, low=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._scratch

    def buffer_updated(self, nbytes: int) -> None:
        self._received += self._scratch[:nbytes]
        self._readable.set()
        if len(self._received) >= _UNREAD_BYTES and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self.gone.set()
        self._readable.set()
        return not self._is_tls  # a client that has only closed its side still gets its answer

    def pause_writing(self) -> None:
        self._sent.clear()

    def resume_writing(self) -> None:
        self._sent.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for each in (self.gone, self.lost, self._readable, self._sent):
            each.set()

    # What we call.

    @property
    def is_connected(self) -> bool:
        """Is there a connection, at least of one side?"""
        return self._is_made and not self.lost.is_set()

    async def read(self, most: int) -> bytes:
        """Up to so many bytes, once there are any; empty at the end. It lets all others have their
        turn first, whatever this client sends."""
        await asyncio.sleep(0)
        while not self._received and not self.gone.is_set():
            self._readable.clear()
            await self._readable.wait()
        piece = bytes(self._received[:most])
        del self._received[:most]
        if self._is_paused and len(self._received) < _UNREAD_BYTES and not self.lost.is_set():
            self._is_paused = False
            self.transport.resume_reading()
        return piece

    async def send(self, data: bytes) -> None:
        """Write, and wait until it is sent. Raises ``ConnectionError`` if the client is gone."""
        if self.lost.is_set():
            raise ConnectionResetError
        self.transport.write(data)
        await self._sent.wait()
        if self.lost.is_set():
            raise ConnectionResetError

    def end(self) -> None:
        """Tell the client that nothing more comes. TLS can't, without an end of both sides."""
        if self.transport.can_write_eof() and not self.lost.is_set():
            self.transport.write_eof()
