"""Decoders: what a picture may cost, and what code in one can do."""

from __future__ import annotations

import errno
import io
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from snoopsync.core.errors import Refused, Unavailable
from snoopsync.decoding import landlock, seccomp
from snoopsync.decoding.decode import features_of
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.pool import Pool
from snoopsync.decoding.samples import samples
from snoopsync.decoding.sandbox import Limits
from snoopsync.decoding.source import Picture, read_picture
from tests.support.hosted import lives
from tests.support.pictures import encode, photo
from tests.support.process import until

LIMITS = Limits(memory_bytes=1 << 30, cpu_seconds=1, wall_seconds=60.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with closing(Pool(1, "tests.support.decoder_work:by_its_content", LIMITS)) as pool:
        yield pool


def ask(pool: Pool, content: bytes) -> bytes:
    """What a decoder answers about a picture with this content."""
    with read_picture(content) as picture:
        return pool.decode(picture.file.fileno(), picture.sha256, bytes)


def processes_of(pool: Pool) -> tuple[psutil.Process, list[psutil.Process]]:
    """The process that decoders are forked from, and the decoders."""
    zygote = psutil.Process(pool.zygote_id)
    return zygote, zygote.children()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"crashes", "ends the decoder"),
        (b"spins", "more than 1 s of processor time"),
        (b"much memory", "ends the decoder"),
    ],
)
def test_a_picture_that_ends_its_decoder_is_refused_and_ends_no_other(
    pool: Pool, content: bytes, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        ask(pool, content)
    assert ask(pool, b"sound") == b"sound"


def test_a_picture_whose_decoder_hangs_is_refused() -> None:
    limits = Limits(wall_seconds=0.5)
    with (
        closing(Pool(1, "tests.support.decoder_work:by_its_content", limits)) as pool,
        pytest.raises(Refused, match="takes longer than"),
    ):
        ask(pool, b"hangs")


def test_code_in_a_decoder_can_do_nothing_but_answer(pool: Pool) -> None:
    if pool.warm_up().missing:
        pytest.skip("this kernel lacks a part of the sandbox")
    assert ask(pool, b"attacks").decode() == "answer"


def test_the_restrictions_are_in_force_as_the_kernel_tells(pool: Pool) -> None:
    ask(pool, b"sound")
    _, (decoder,) = processes_of(pool)
    status = Path(f"/proc/{decoder.pid}/status").read_text(encoding="ascii")
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert told["NoNewPrivs"] == "1"
    assert told["Seccomp"] == "2"
    assert int(told["CapEff"], 16) == int(told["CapPrm"], 16) == 0
    assert told["Uid"].split()[0] != "0"
    limits = Path(f"/proc/{decoder.pid}/limits").read_text(encoding="ascii")
    for name, most in (("core file size", 0), ("file size", 0), ("open files", 10)):
        assert re.search(rf"^Max {name} +{most} +{most} ", limits, re.MULTILINE)
    assert Path(f"/proc/{decoder.pid}/oom_score_adj").read_text(encoding="ascii").strip() == "1000"


def test_a_decoder_that_something_else_has_killed_is_no_fault_of_the_picture(pool: Pool) -> None:
    answers: list[bytes] = []
    ask(pool, b"sound")
    _, (first,) = processes_of(pool)
    asking = threading.Thread(target=lambda: answers.append(ask(pool, b"sound")))
    first.kill()
    asking.start()
    asking.join()
    assert answers == [b"sound"]


@pytest.mark.parametrize("who", ["decoders", "the zygote"])
def test_what_kills_idle_decoders_is_the_end_of_them_only(pool: Pool, who: str) -> None:
    """As when the machine is short of memory."""
    ask(pool, b"sound")
    zygote, mine = processes_of(pool)
    killed = mine if who == "decoders" else [zygote]
    for each in killed:
        each.kill()
    for _ in range(3):
        assert ask(pool, b"sound") == b"sound"
    until(lambda: not any(lives(each) for each in mine))


def test_decoders_end_when_they_are_closed() -> None:
    pool = Pool(2, "tests.support.decoder_work:by_its_content", LIMITS)
    ask(pool, b"sound")
    zygote, mine = processes_of(pool)
    pool.close()
    until(lambda: not any(lives(each) for each in (zygote, *mine)))
    with pytest.raises(Unavailable, match="closed"):
        ask(pool, b"sound")


def test_a_decoder_that_says_more_than_it_was_asked_for_is_ended(pool: Pool) -> None:
    """What it said would be taken for the answer about the next picture."""
    ask(pool, b"babbles")
    assert ask(pool, b"sound") == b"sound"


def test_modules_of_the_current_directory_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("struct", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    with closing(Decoders(1)) as decoders:
        decoders.warm_up()


def test_an_interrupted_picture_leaves_no_answer_for_the_next_one() -> None:
    limits = Limits(wall_seconds=60.0)
    with closing(Pool(1, "tests.support.decoder_work:by_its_content", limits)) as pool:

        def interrupted(_answer: bytes) -> bytes:
            raise KeyboardInterrupt

        with read_picture(b"first") as picture, pytest.raises(KeyboardInterrupt):
            pool.decode(picture.file.fileno(), picture.sha256, interrupted)
        _, before = processes_of(pool)
        assert ask(pool, b"second") == b"second"
        _, now = processes_of(pool)
        assert {each.pid for each in before}.isdisjoint(each.pid for each in now)


@pytest.mark.parametrize("content", [b"leaves", b"leaves in order"])
def test_a_picture_that_ends_its_decoder_in_order_is_refused_too(
    pool: Pool, content: bytes
) -> None:
    with pytest.raises(Refused, match="ends the decoder"):
        ask(pool, content)
    assert ask(pool, b"sound") == b"sound"


def test_why_decoders_can_not_start_is_told() -> None:
    with closing(Pool(1, "tests.no_such_module:work")) as pool:
        with pytest.raises(Unavailable, match="No module named"):
            ask(pool, b"sound")
        with pytest.raises(Unavailable, match="No module named"):
            pool.check()


@pytest.mark.parametrize("content", [b"lies", b"talks"])
def test_an_answer_that_is_none_is_not_believed(content: bytes) -> None:
    with (
        closing(Decoders(1, LIMITS, "tests.support.decoder_work:by_its_content")) as decoders,
        read_picture(content) as picture,
        pytest.raises(Refused, match="ends the decoder"),
    ):
        decoders.look_at(picture)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with closing(Decoders(1)) as decoders:
        yield decoders


@pytest.mark.parametrize("codec", samples())
def test_each_codec_works_in_the_sandbox_as_it_does_outside(decoders: Decoders, codec: str) -> None:
    content = samples()[codec]
    with read_picture(content) as picture:
        assert decoders.look_at(picture) == features_of(io.BytesIO(content), picture.sha256)


def test_a_refusal_comes_through_the_sandbox(decoders: Decoders) -> None:
    with read_picture(b"no picture") as picture, pytest.raises(Refused) as refused:
        decoders.look_at(picture)
    assert refused.value.status == 415


def test_a_picture_can_not_be_changed_once_it_was_read() -> None:
    with read_picture(encode(photo(1))) as picture, pytest.raises(PermissionError):
        os.write(picture.file.fileno(), b"x")


def test_what_was_hashed_is_what_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(photo(1)))
    picture: Picture = read_picture(path)
    path.write_bytes(encode(photo(2)))
    with picture, closing(Decoders(1)) as decoders:
        features = decoders.look_at(picture)
    assert features == features_of(io.BytesIO(encode(photo(1))), picture.sha256)


def test_a_processor_without_a_filter_is_told() -> None:
    assert seccomp.supports("x86_64")
    assert seccomp.supports("aarch64")
    assert not seccomp.supports("sparc")


def test_a_kernel_without_landlock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with pytest.raises(OSError, match="no Landlock"):
        landlock.give_up_all()


#: Refuses a system call with an error, as a unit or a container does, and says what a decoder makes
#: of it. Decodes a picture all the same.
FILTERED = """
import ctypes, sys
from contextlib import closing
from snoopsync.decoding import seccomp
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.source import read_picture
call, number, picture = sys.argv[1:]
code = b"".join((
    seccomp._instruction(seccomp._LOAD, seccomp._NUMBER_AT),
    seccomp._instruction(seccomp._JUMP_IF_EQUAL, int(call), if_false=1),
    seccomp._instruction(seccomp._RETURN, seccomp._RET_ERRNO | int(number)),
    seccomp._instruction(seccomp._RETURN, seccomp._RET_ALLOW),
))
buffer = ctypes.create_string_buffer(code, len(code))
filter_ = seccomp._Program(len(code) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(filter_), 0, 0) == 0
with closing(Decoders(1)) as decoders:
    outcome = decoders.warm_up()
    with read_picture(picture) as read:
        decoders.look_at(read)
print(outcome.refused_names, outcome.lacking_names)
"""


#: Numbers of system calls: x86-64, ARM64.
CALLS = {"landlock_create_ruleset": (444, 444), "prlimit64": (302, 261), "capset": (126, 91)}


@pytest.mark.parametrize(
    ("call", "number", "said"),
    [
        ("landlock_create_ruleset", errno.EPERM, "['Landlock'] []"),
        ("landlock_create_ruleset", errno.ENOSYS, "[] ['Landlock']"),
        ("prlimit64", errno.EPERM, "['resource limits'] []"),
        # Nothing is left to give up: units that refuse this call withhold nothing.
        ("capset", errno.EPERM, "[] []"),
    ],
)
def test_what_a_filter_refuses_is_told_from_what_the_kernel_lacks(
    call: str, number: int, said: str, tmp_path: Path
) -> None:
    with closing(Decoders(1)) as decoders:
        if decoders.warm_up().missing:
            pytest.skip("this kernel lacks a part of the sandbox")
    path = tmp_path / "a.png"
    path.write_bytes(encode(photo(1)))
    machine = ("x86_64", "aarch64").index(platform.machine())
    arguments = [str(CALLS[call][machine]), str(number), str(path)]
    command = [sys.executable, "-c", FILTERED, *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == said


def test_signals_to_the_whole_group_do_not_end_decoders(pool: Pool) -> None:
    ask(pool, b"sound")
    zygote, mine = processes_of(pool)
    for each in (zygote, *mine):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            each.send_signal(number)
    assert ask(pool, b"sound") == b"sound"
    assert all(lives(each) for each in (zygote, *mine))
