"""A pool of decoder processes.

If a decoder dies, its picture is retried in a new decoder, since something else may have killed
the first one. If the second one dies too, the picture is refused. A decoder that takes too long is
killed.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from snoopsync.core.errors import Refused, Unavailable, Undecodable
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.decoding.layout import InvalidAnswer
from snoopsync.decoding.messages import MESSAGE_BYTES, receive_answer
from snoopsync.decoding.sandbox import DecoderLimits, Outcome, Restriction
from snoopsync.decoding.zygote import FAILED, FORK, KILL, NUMBER, READY, REPORT

log = logging.getLogger("snoopsync.decoding")

#: A picture is refused after this many of its decoders died.
_TRIES = 2

#: How long the zygote may take to load the codecs, and to fork, on a slow and busy machine.
_START_SECONDS, _FORK_SECONDS = 120.0, 30.0

#: The features of a picture have a few kilobytes. A longer answer is invalid.
_MOST_ANSWER_BYTES = 64 << 10

#: How often a picture is tried if all decoders keep being killed.
_MOST_RESTARTS = 5

Result = TypeVar("Result")


class _DecoderDied(Exception):
    """The decoder ended without a valid answer. ``status``: its status from ``waitpid``; ``None``
    if the status is unknown because all decoders were ended."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class _TooSlow(Exception):
    """The decoder did not answer in time."""


@dataclass(slots=True)
class _Decoder:
    """One decoder process. ``done``: how many pictures it has decoded. ``owner``: its zygote."""

    socket: socket.socket
    process: int
    owner: _Zygote
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
        """The decoder's answer, of at most ``most_bytes``. Raises ``OSError``."""
        socket.send_fds(self.socket, [question], [picture])
        return receive_answer(self.socket, most_bytes)


class _Zygote:
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
            raise _cannot_start(error.strerror or str(error)) from None
        if hello[:1] != READY:
            self.close()
            why = hello[1:].decode("utf-8", "replace") if hello[:1] == FAILED else "it ended"
            raise _cannot_start(why)
        self.socket.settimeout(_FORK_SECONDS)

    @property
    def process_id(self) -> int:
        """The process ID."""
        return self._process.pid

    def fork(self) -> _Decoder:
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
        return _Decoder(ours, process, self, outcome)

    def end(self, decoder: _Decoder) -> int | None:
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


class Pool:
    """Up to ``count`` decoder processes. Thread-safe."""

    def __init__(self, count: int, work: str, limits: DecoderLimits | None = None) -> None:
        """``work``: the name of the function that decoders run (see ``zygote.main``). The first
        picture, or ``warm_up``, starts the processes."""
        self.limits = limits or DecoderLimits()
        self._work = work
        self._lock = threading.Lock()
        self._zygote: _Zygote | None = None
        self._is_closed = False
        self._trying = threading.Lock()
        #: Which restrictions are in force in the decoders; ``None`` before the first one.
        self.outcome: Outcome | None = None
        #: Why the last attempt to start a decoder failed; ``None`` if it succeeded.
        self._failure: str | None = None
        #: Idle decoders, and a ``None`` for each decoder that may still be forked.
        self._slots: queue.LifoQueue[_Decoder | None] = queue.LifoQueue()
        for _ in range(count):
            self._slots.put(None)

    @property
    def zygote_id(self) -> int | None:
        """The ID of the process that decoders are forked from; ``None`` if it does not run."""
        with self._lock:
            return None if self._zygote is None else self._zygote.process_id

    def warm_up(self) -> Outcome:
        """Start a decoder, and return which restrictions are in force. Raises ``Unavailable``."""
        slot = self._slots.get()
        try:
            slot = slot or self._fork()
            return slot.outcome
        finally:
            self._slots.put(slot)

    def check(self) -> None:
        """Raises ``Unavailable`` if the last attempt to start a decoder failed, and another attempt
        fails too."""
        failure = self._failure
        if failure is None:
            return
        # Only one caller tries again. The others get the previous error meanwhile.
        if not self._trying.acquire(blocking=False):
            raise Unavailable(failure)
        try:
            self.warm_up()
        finally:
            self._trying.release()

    def decode(
        self,
        picture: int,
        question: bytes,
        read: Callable[[bytes], Result],
        most_bytes: int = _MOST_ANSWER_BYTES,
    ) -> Result:
        """Ask a decoder about this picture, a descriptor whose offset changes. Returns what
        ``read`` returns for the answer; ``read`` must raise ``InvalidAnswer`` for invalid bytes.

        Waits for a free decoder. Raises ``Refused`` for a picture that takes too long or crashes
        its decoder, and ``Unavailable`` if no decoder can be started.
        """
        deaths = 0
        for _ in range(_MOST_RESTARTS):
            os.lseek(picture, 0, os.SEEK_SET)
            try:
                return self._decode_once(picture, question, read, most_bytes)
            except _TooSlow:
                raise Undecodable(
                    f"takes longer than {self.limits.wall_seconds:.0f} s to decode", status=415
                ) from None
            except _DecoderDied as died:
                if _was_signal(died.status, signal.SIGXCPU):
                    raise Undecodable(
                        f"takes more than {self.limits.cpu_seconds} s of processor time to decode",
                        status=415,
                    ) from None
                # Without a status, all decoders were ended, which this picture did not cause.
                deaths += died.status is not None
                if deaths >= _TRIES:
                    raise Undecodable(
                        f"cannot be decoded: the decoder crashes ({_in_words(died.status)})",
                        status=415,
                    ) from None
        raise self._failed("the decoder processes are killed repeatedly")

    def close(self) -> None:
        """End all decoders, even busy ones. A second call does nothing."""
        self._is_closed = True
        zygote = self._zygote
        if zygote is not None:
            zygote.kill()  # a thread that waits for the zygote may hold the lock
        with self._lock:
            if self._zygote is not None:
                self._zygote.close()
                self._zygote = None
        idle = []
        with suppress(queue.Empty):  # the threads that use busy decoders put them back
            while True:
                idle.append(self._slots.get_nowait())
        for slot in idle:
            self._put_back(slot)

    def _decode_once(
        self, picture: int, question: bytes, read: Callable[[bytes], Result], most_bytes: int
    ) -> Result:
        slot = self._slots.get()
        try:
            slot = slot or self._fork()
            try:
                slot.require_idle()
            except OSError:
                # The decoder ended, or misbehaved, before this picture.
                self._end(slot)
                slot = None
                raise _DecoderDied(None) from None
            try:
                result = read(slot.ask(picture, question, most_bytes))
            except TimeoutError:
                raise _TooSlow from None
            except (OSError, InvalidAnswer):
                status, slot = self._end(slot), None
                raise _DecoderDied(status) from None
            finally:
                if slot is not None:
                    slot.done += 1
            if slot.done >= self.limits.pictures:
                self._end(slot)
                slot = None
            return result
        except (Refused, Unavailable, _DecoderDied):
            raise
        except BaseException:
            # The decoder may still answer, and its answer would be mistaken for the answer about
            # the next picture.
            if slot is not None:
                self._end(slot)
                slot = None
            raise
        finally:
            self._put_back(slot)

    def _put_back(self, slot: _Decoder | None) -> None:
        """Let other threads use this slot. After ``close``, its decoder is dropped."""
        if self._is_closed and slot is not None:
            slot.socket.close()
            slot = None
        self._slots.put(slot)

    def _fork(self) -> _Decoder:
        with deferred_events(), self._lock:
            for _ in range(_TRIES):
                if self._is_closed:
                    raise Unavailable("the decoders are closed")
                try:
                    if self._zygote is None:
                        self._zygote = _Zygote(self._work, self.limits)
                    decoder = self._zygote.fork()
                except Unavailable as error:
                    self._failure = error.message
                    raise
                except OSError:  # the zygote was killed
                    assert self._zygote is not None
                    self._zygote.close()
                    self._zygote = None
                else:
                    self._failure = None
                    self._log_missing(decoder.outcome)
                    return decoder
        raise self._failed("the decoder processes cannot be started")

    def _log_missing(self, outcome: Outcome) -> None:
        """Log once which restrictions are not in force, and why."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        if outcome.missing:
            log_event(
                log,
                logging.WARNING,
                Event.DECODERS_UNRESTRICTED,
                "pictures are decoded without: %s",
                outcome,
                missing=outcome.missing,
                refused=outcome.refused_names,
            )

    def _failed(self, message: str) -> Unavailable:
        self._failure = message
        return Unavailable(message)

    def _end(self, decoder: _Decoder) -> int | None:
        """End the decoder. Returns its exit status; ``None`` if the status is unknown."""
        with self._lock:
            try:
                return decoder.owner.end(decoder)
            except OSError:
                # A late reply would be mistaken for the reply to the next request.
                decoder.owner.close()
                if self._zygote is decoder.owner:
                    self._zygote = None
                return None


def _cannot_start(why: str) -> Unavailable:
    return Unavailable(f"the decoder processes cannot be started: {why}")


def _was_signal(status: int | None, number: signal.Signals) -> bool:
    return status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == number


def _in_words(status: int | None) -> str:
    assert status is not None
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit status {os.waitstatus_to_exitcode(status)}"
