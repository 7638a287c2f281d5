"""The pool: each picture gets its own answer, and decoders that ended are replaced."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from snoopsync.core.errors import Refused, Unavailable
from snoopsync.decoding.messages import TOKEN_BYTES, send_answer
from snoopsync.decoding.pool import DecoderStatistics, Pool
from snoopsync.decoding.processes import Decoder, Zygote
from snoopsync.decoding.sandbox import DecoderLimits, Outcome, Restriction
from snoopsync.decoding.source import read_picture
from tests.decoding.helpers import LIMITS, ask, processes_of
from tests.support.hosted import lives
from tests.support.process import until


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"crashes", "the decoder crashes"),
        (b"spins", "more than 1 s of processor time"),
        (b"much memory", "the decoder crashes"),
    ],
)
def test_a_picture_that_crashes_its_decoder_is_refused_and_affects_no_other(
    pool: Pool, content: bytes, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        ask(pool, content)
    assert ask(pool, b"sound") == b"sound"


def test_a_picture_whose_decoder_hangs_is_refused() -> None:
    limits = DecoderLimits(wall_seconds=0.5)
    with (
        closing(Pool(1, "tests.support.decoder_work:by_its_content", limits)) as pool,
        pytest.raises(Refused, match="takes longer than"),
    ):
        ask(pool, b"hangs")


def test_a_picture_is_decoded_again_if_something_else_killed_its_decoder(pool: Pool) -> None:
    answers: list[bytes] = []
    ask(pool, b"sound")
    _, (first,) = processes_of(pool)
    asking = threading.Thread(target=lambda: answers.append(ask(pool, b"sound")))
    first.kill()
    asking.start()
    asking.join()
    assert answers == [b"sound"]


@pytest.mark.parametrize("who", ["decoders", "the zygote"])
def test_killed_idle_decoders_are_replaced(pool: Pool, who: str) -> None:
    """The kernel does this when memory runs out."""
    ask(pool, b"sound")
    zygote, mine = processes_of(pool)
    killed = mine if who == "decoders" else [zygote]
    for each in killed:
        each.kill()
    for _ in range(3):
        assert ask(pool, b"sound") == b"sound"
    until(lambda: not any(lives(each) for each in mine))


def test_a_decoder_is_replaced_after_a_number_of_pictures() -> None:
    limits = DecoderLimits(pictures=2)
    with closing(Pool(1, "tests.support.decoder_work:by_its_content", limits)) as pool:
        ask(pool, b"sound")
        _, (first,) = processes_of(pool)
        ask(pool, b"sound")
        until(lambda: not lives(first))
        assert ask(pool, b"sound") == b"sound"


def test_closing_ends_all_decoders() -> None:
    pool = Pool(2, "tests.support.decoder_work:by_its_content", LIMITS)
    ask(pool, b"sound")
    zygote, mine = processes_of(pool)
    pool.close()
    until(lambda: not any(lives(each) for each in (zygote, *mine)))
    with pytest.raises(Unavailable, match="closed"):
        ask(pool, b"sound")


def test_a_decoder_that_answers_twice_is_ended(pool: Pool) -> None:
    """One of the two would be taken for the answer about the next picture."""
    with pytest.raises(Refused):
        ask(pool, b"babbles")
    assert ask(pool, b"sound") == b"sound"


def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(10.0)
    decoder = Decoder(ours, 0, cast("Zygote", None), Outcome(Restriction(0), Restriction(0)))

    def answer(times: int) -> None:
        message, descriptors, _, _ = socket.recv_fds(theirs, 64, 1)
        os.close(descriptors[0])
        for _ in range(times):
            send_answer(theirs, message[:TOKEN_BYTES] + b"answer to " + message[TOKEN_BYTES:])

    with (
        ours,
        theirs,
        (tmp_path / "picture").open("wb") as picture,
        ThreadPoolExecutor(1) as thread,
    ):
        thread.submit(answer, 2)
        assert decoder.ask(picture.fileno(), b"one", 100) == b"answer to one"
        thread.submit(answer, 1)
        with pytest.raises(ConnectionResetError):
            decoder.ask(picture.fileno(), b"two", 100)


def test_an_interrupted_picture_leaves_no_answer_for_the_next_one() -> None:
    limits = DecoderLimits(wall_seconds=60.0)
    with closing(Pool(1, "tests.support.decoder_work:by_its_content", limits)) as pool:

        def interrupted(_answer: bytes) -> bytes:
            raise KeyboardInterrupt

        with read_picture(b"first") as picture, pytest.raises(KeyboardInterrupt):
            pool.decode(picture.file.fileno(), picture.sha256, interrupted)
        _, before = processes_of(pool)
        assert ask(pool, b"second") == b"second"
        _, now = processes_of(pool)
        assert {each.pid for each in before}.isdisjoint(each.pid for each in now)


def test_the_statistics_count_deaths_and_refused_pictures() -> None:
    with closing(Pool(2, "tests.support.decoder_work:by_its_content", LIMITS)) as pool:
        ask(pool, b"sound")
        assert pool.statistics() == DecoderStatistics(count=2, busy=0, deaths=0, refused=0)
        with pytest.raises(Refused):
            ask(pool, b"crashes")
        assert pool.statistics() == DecoderStatistics(count=2, busy=0, deaths=2, refused=1)


def test_the_statistics_count_busy_decoders() -> None:
    with closing(Pool(2, "tests.support.decoder_work:by_its_content", LIMITS)) as pool:
        during = []

        def look(answer: bytes) -> bytes:
            during.append(pool.statistics().busy)
            return answer

        with read_picture(b"sound") as picture:
            pool.decode(picture.file.fileno(), picture.sha256, look)
        assert (during, pool.statistics().busy) == ([1], 0)


@pytest.mark.parametrize("content", [b"leaves", b"leaves in order"])
def test_a_picture_whose_decoder_exits_is_refused(pool: Pool, content: bytes) -> None:
    with pytest.raises(Refused, match="the decoder crashes"):
        ask(pool, content)
    assert ask(pool, b"sound") == b"sound"
