"""The process that decoders are forked from, and the loop of a decoder.

The zygote has one thread. It imports and tries every codec before the first fork, because a decoder
cannot open files to load a codec later. The zygote itself never reads a picture. It ends when the
other end of its socket is closed, and its decoders end with it.

Messages are packets of a Unix socket (SEQPACKET). Messages to the zygote:

- ``F`` and a socket: fork a decoder that serves this socket. Answer: ``F`` and its process ID.
- ``K`` and a process ID: kill this decoder, and wait for its end. Answer: ``K``, the process ID and
  the status from ``waitpid``, or -1 if the decoder cannot be killed. The zygote does this because
  only the parent of a process can be sure that the ID does not belong to another process now.

Messages to a decoder: the picture's descriptor with a token and a question of a few bytes. Answer:
the token, then see ``layout``, sent as in ``messages``.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from importlib import import_module
from typing import BinaryIO

from snoopsync.decoding import sandbox
from snoopsync.decoding.messages import TOKEN_BYTES, send_answer

FORK, KILL = b"F", b"K"
READY, FAILED = b"R", b"E"

NUMBER = struct.Struct("<q")
#: Two limits of ``sandbox.DecoderLimits``: bytes of memory, and seconds of processor time.
LIMITS = struct.Struct("<qq")
#: The first packet of a decoder, a ``sandbox.Outcome``: the restrictions that are in force, and
#: those that were refused.
REPORT = struct.Struct("<qq")

#: The work of a decoder: returns the answer for a picture and a question about it.
Work = Callable[[BinaryIO, bytes], bytes]

_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main(descriptor: int, work_name: str, memory_bytes: int, cpu_seconds: int) -> None:
    """Serve the socket with this descriptor until its other end is closed.

    ``work_name``: ``module:function``, the function that decoders run for each picture. If the
    module has a function ``<function>_prepare``, that runs once, before the first fork.
    """
    # A terminal or a service manager sends signals to the whole process group. Decoders must only
    # end when the other end closes the socket.
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    limits = sandbox.DecoderLimits(memory_bytes, cpu_seconds)
    try:
        module_name, _, function_name = work_name.partition(":")
        module = import_module(module_name)
        work: Work = getattr(module, function_name)
        prepare = getattr(module, f"{function_name}_prepare", None)
        if prepare is not None:
            prepare()
    except BaseException as error:
        control.send(FAILED + str(error).encode("utf-8", "replace")[:1000])
        return
    gc.freeze()  # keeps the memory shared with the decoders
    control.send(READY)
    children: set[int] = set()
    while True:
        message, descriptors = _receive(control)
        if message[:1] == FORK:
            child = _fork(control, descriptors[0], work, limits)
            children.add(child)
            os.close(descriptors[0])
            control.send(FORK + NUMBER.pack(child))
        elif message[:1] == KILL:
            (child,) = NUMBER.unpack(message[1:])
            control.send(KILL + NUMBER.pack(child) + NUMBER.pack(_kill(child, children)))
        else:
            return


def _kill(child: int, children: set[int]) -> int:
    """Kill the decoder. Returns its status from ``waitpid``; -1 if the status is unknown."""
    if child not in children:
        return -1
    try:
        os.kill(child, signal.SIGKILL)
    except PermissionError:  # root may lack the capability to signal other users' processes
        return -1
    children.discard(child)
    return os.waitpid(child, 0)[1]


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    message, descriptors, _, _ = socket.recv_fds(control, 64, 1)
    return message, descriptors


def _fork(
    control: socket.socket, descriptor: int, work: Work, limits: sandbox.DecoderLimits
) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        control.close()
        _serve_pictures(socket.socket(fileno=descriptor), work, limits, parent)
        os._exit(0)
    except BaseException:  # no process would read a traceback
        os._exit(1)


def _serve_pictures(
    pictures: socket.socket, work: Work, limits: sandbox.DecoderLimits, parent: int
) -> None:
    """The loop of a decoder. Enter the sandbox, then answer for pictures until the socket is
    closed."""
    outcome = sandbox.enter(limits, parent)
    pictures.send(REPORT.pack(outcome.applied, outcome.refused))
    while True:
        message, descriptors = _receive(pictures)
        if not message:
            return
        if sandbox.Restriction.LIMITS in outcome.applied:
            sandbox.allow_cpu(limits.cpu_seconds)
        with open(descriptors[0], "rb") as picture:  # noqa: PTH123 - a descriptor
            answer = work(picture, message[TOKEN_BYTES:])
        send_answer(pictures, message[:TOKEN_BYTES] + answer)


def _start() -> None:
    _, descriptor, work_name, memory_bytes, cpu_seconds = sys.argv
    main(int(descriptor), work_name, int(memory_bytes), int(cpu_seconds))


if __name__ == "__main__":
    _start()
