"""The decoder processes as this process sees them: starts them, asks them, ends them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from snoopsync.core.errors import Unavailable
from snoopsync.decoding.messages import MESSAGE_BYTES, TOKEN_BYTES, receive_answer
from snoopsync.decoding.sandbox import DecoderLimits, Outcome, Restriction
from snoopsync.decoding.zygote import FAILED, FORK, KILL, NUMBER, READY, REPORT

#: How long the zygote may take to load the codecs, and to fork, on a slow and busy machine.
_START_SECONDS, _FORK_SECONDS = 120.0, 30.0


@dataclass(slots=True)
class Decoder:
    """One decoder process. ``done``: how many pictures it has decoded. ``owner``: its zygote."""

    socket: socket.socket
    process: int
    owner: Zygote
    outcome: Outcome
    done: int = 0

    def require_idle(self) -> None:
        """Raises ``OSError`` if the decoder has ended, or if it has sent an answer without being
        asked, which would be mistaken for the answer about the next picture."""
        timeout = self.socket.gettimeout()
        self.socket.settimeout(0.0)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        finally:
            self.socket.settimeout(timeout)
        raise ConnectionResetError

    def ask(self, picture: int, question: bytes, most_bytes: int) -> bytes:
        """The decoder's answer, of at most ``most_bytes``. Raises ``OSError``, also if the answer
        is to another question."""
        token = os.urandom(TOKEN_BYTES)
        socket.send_fds(self.socket, [token + question], [picture])
        answer = receive_answer(self.socket, TOKEN_BYTES + most_bytes)
        if answer[:TOKEN_BYTES] != token:
            raise ConnectionResetError
        return answer[TOKEN_BYTES:]


class Zygote:
    """The process that decoders are forked from. Not thread-safe."""

    def __init__(self, work: str, limits: DecoderLimits) -> None:
        """Starts the process, and waits until it has loaded every codec. Raises ``Unavailable``."""
        self._wall_seconds = limits.wall_seconds
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(_START_SECONDS)
        command = (
            # Without -P, Python would first import a module from the current directory, and any
            # user may have created that module.
            *(sys.executable, "-P", "-m", "snoopsync.decoding.zygote"),
            *(str(theirs.fileno()), work, str(limits.memory_bytes), str(limits.cpu_seconds)),
        )
        paths = [path for path in sys.path if Path(path).is_absolute()]
        # The environment contains no secrets. numpy must not start threads, since a fork would lose
        # them.
        environment = {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # so that Ctrl-C does not end the zygote
                )
            hello = self.socket.recv(MESSAGE_BYTES)
        except OSError as error:
            self.socket.close()
            program = f"{error.filename}: " if error.filename else ""
            raise _cannot_start(program + (error.strerror or str(error))) from None
        if hello[:1] != READY:
            self.close()
            why = hello[1:].decode("utf-8", "replace") if hello[:1] == FAILED else "it ended"
            raise _cannot_start(why)
        self.socket.settimeout(_FORK_SECONDS)

    @property
    def process_id(self) -> int:
        """The process ID."""
        return self._process.pid

    def fork(self) -> Decoder:
        """A fresh decoder. Raises ``OSError``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            ours.settimeout(_FORK_SECONDS)
            with theirs:
                socket.send_fds(self.socket, [FORK], [theirs.fileno()])
            (process,) = self._reply(FORK)
            report = ours.recv(REPORT.size)
            if len(report) != REPORT.size:
                raise ConnectionResetError
            applied, refused = REPORT.unpack(report)
            ours.settimeout(self._wall_seconds)
        except BaseException:
            ours.close()
            raise
        outcome = Outcome(Restriction(applied), Restriction(refused))
        return Decoder(ours, process, self, outcome)

    def end(self, decoder: Decoder) -> int | None:
        """Kill this decoder if it is still running. Returns its exit status; ``None`` if the status
        is unknown. Raises ``OSError`` if the zygote does not answer."""
        decoder.socket.close()
        self.socket.send(KILL + NUMBER.pack(decoder.process))
        process, status = self._reply(KILL)
        if process != decoder.process:
            raise ConnectionResetError
        return None if status < 0 else status

    def close(self) -> None:
        """End the zygote, which ends every decoder too. A second call does nothing."""
        self.socket.close()
        self.kill()
        self._process.wait()

    def kill(self) -> None:
        """Kill the zygote without waiting for its end. Any thread may call this."""
        self._process.kill()

    def _reply(self, to: bytes) -> tuple[int, ...]:
        """The numbers in the reply to the last request. Raises ``OSError``."""
        reply = self.socket.recv(MESSAGE_BYTES)
        if reply[:1] != to or len(reply) % NUMBER.size != 1:
            raise ConnectionResetError
        return tuple(number for (number,) in NUMBER.iter_unpack(reply[1:]))


def _cannot_start(why: str) -> Unavailable:
    return Unavailable(f"the decoder processes cannot be started: {why}")
