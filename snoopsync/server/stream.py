"""Reads and writes the bytes of one connection, with limits on what is kept in memory."""

from __future__ import annotations

import asyncio

#: How many bytes are read from a socket at once.
RECEIVE_BUFFER_BYTES = 32 << 10

#: Reading from the socket pauses while this many received bytes are not consumed.
_UNREAD_BYTES = 32 << 10


class ByteStream(asyncio.BufferedProtocol):
    """An asyncio protocol whose ``read`` and ``send`` can be awaited. It never keeps more than
    64 KiB of received bytes, and ``send`` waits until the operating system has taken all bytes."""

    def __init__(self, receive_buffer: memoryview, *, is_tls: bool) -> None:
        """The loop writes what it receives into ``receive_buffer``. All streams of one loop may
        share the buffer, because its content is copied at once."""
        self._receive_buffer = receive_buffer
        self._is_tls = is_tls
        self._received = bytearray()
        self._is_open = self._is_paused = False
        self._readable = asyncio.Event()
        self._sent = asyncio.Event()
        self._sent.set()
        #: Set when the client has closed its side, or the connection is lost.
        self.gone = asyncio.Event()
        #: Set when both sides of the connection are closed.
        self.lost = asyncio.Event()

    # Called by asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._is_open = True
        # The smallest limit for asyncio's TLS, which with 0 would pause and never resume.
        transport.set_write_buffer_limits(high=1, low=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._received += self._receive_buffer[:nbytes]
        self._readable.set()
        if len(self._received) >= _UNREAD_BYTES and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self.gone.set()
        self._readable.set()
        return not self._is_tls  # a client may close only its sending side

    def pause_writing(self) -> None:
        self._sent.clear()

    def resume_writing(self) -> None:
        self._sent.set()

    def connection_lost(self, exc: Exception | None) -> None:
        for each in (self.gone, self.lost, self._readable, self._sent):
            each.set()

    # Called by the connection.

    @property
    def is_connected(self) -> bool:
        """Whether at least one side of the connection is open."""
        return self._is_open and not self.lost.is_set()

    async def read(self, most: int) -> bytes:
        """Return up to ``most`` bytes when some have arrived, or none at the end. Other tasks run
        first, however fast this client sends."""
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
        """Write the bytes and wait until they are sent. Raises ``ConnectionError`` if the client
        has disconnected."""
        if self.lost.is_set():
            raise ConnectionResetError
        self.transport.write(data)
        await self._sent.wait()
        if self.lost.is_set():
            raise ConnectionResetError

    def send_eof(self) -> None:
        """End the sending side of the connection. TLS can only end both sides."""
        if self.transport.can_write_eof() and not self.lost.is_set():
            self.transport.write_eof()
