"""Decoders: what a picture may cost, and what hostile code in a decoder can do."""

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
from snoopsync.decoding.sandbox import DecoderLimits
from snoopsync.decoding.source import PictureFile, read_picture
from tests.support.hosted import lives
from tests.support.pictures import encode, photo
from tests.support.process import until

LIMITS = DecoderLimits(memory_bytes=1 << 30, cpu_seconds=1, wall_seconds=60.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with closing(Pool(1, "tests.support.decoder_work:by_its_content", LIMITS)) as pool:
        yield pool


def ask(pool: Pool, content: bytes) -> bytes:
    """The answer of a decoder about a picture with this content."""
    with read_picture(content) as picture:
        return pool.decode(picture.file.fileno(), picture.sha256, bytes)


def processes_of(pool: Pool) -> tuple[psutil.Process, list[psutil.Process]]:
    """The process that decoders are forked from, and the decoders."""
    zygote = psutil.Process(pool.zygote_id)
    return zygote, zygote.children()


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


def test_code_in_a_decoder_can_only_answer(pool: Pool) -> None:
    if pool.warm_up().missing:
        pytest.skip("this kernel lacks a part of the sandbox")
    assert ask(pool, b"attacks").decode() == "answer"


def test_the_kernel_confirms_the_restrictions(pool: Pool) -> None:
    ask(pool, b"sound")
    _, (decoder,) = processes_of(pool)
    status = Path(f"/proc/{decoder.pid}/status").read_text(encoding="ascii")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert fields["Uid"].split()[0] != "0"
    limits = Path(f"/proc/{decoder.pid}/limits").read_text(encoding="ascii")
    for name, most in (("core file size", 0), ("file size", 0), ("open files", 10)):
        assert re.search(rf"^Max {name} +{most} +{most} ", limits, re.MULTILINE)
    assert Path(f"/proc/{decoder.pid}/oom_score_adj").read_text(encoding="ascii").strip() == "1000"


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


def test_closing_ends_all_decoders() -> None:
    pool = Pool(2, "tests.support.decoder_work:by_its_content", LIMITS)
    ask(pool, b"sound")
    zygote, mine = processes_of(pool)
    pool.close()
    until(lambda: not any(lives(each) for each in (zygote, *mine)))
    with pytest.raises(Unavailable, match="closed"):
        ask(pool, b"sound")


def test_a_decoder_that_answers_twice_is_ended(pool: Pool) -> None:
    """The second answer would be taken for the answer about the next picture."""
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


@pytest.mark.parametrize("content", [b"leaves", b"leaves in order"])
def test_a_picture_whose_decoder_exits_is_refused(pool: Pool, content: bytes) -> None:
    with pytest.raises(Refused, match="the decoder crashes"):
        ask(pool, content)
    assert ask(pool, b"sound") == b"sound"


def test_the_error_says_why_decoders_cannot_start() -> None:
    with closing(Pool(1, "tests.no_such_module:work")) as pool:
        with pytest.raises(Unavailable, match="No module named"):
            ask(pool, b"sound")
        with pytest.raises(Unavailable, match="No module named"):
            pool.check()


@pytest.mark.parametrize("content", [b"lies", b"talks"])
def test_an_invalid_answer_is_a_refusal(content: bytes) -> None:
    with (
        closing(Decoders(1, LIMITS, "tests.support.decoder_work:by_its_content")) as decoders,
        read_picture(content) as picture,
        pytest.raises(Refused, match="the decoder crashes"),
    ):
        decoders.extract_features(picture)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with closing(Decoders(1)) as decoders:
        yield decoders


@pytest.mark.parametrize("codec", samples())
def test_each_codec_gives_the_same_result_in_the_sandbox(decoders: Decoders, codec: str) -> None:
    content = samples()[codec]
    with read_picture(content) as picture:
        assert decoders.extract_features(picture) == features_of(
            io.BytesIO(content), picture.sha256
        )


def test_a_refusal_comes_through_the_sandbox(decoders: Decoders) -> None:
    with read_picture(b"no picture") as picture, pytest.raises(Refused) as refused:
        decoders.extract_features(picture)
    assert refused.value.status == 415


def test_a_picture_cannot_change_after_it_was_read() -> None:
    with read_picture(encode(photo(1))) as picture, pytest.raises(PermissionError):
        os.write(picture.file.fileno(), b"x")


def test_the_decoded_bytes_are_the_hashed_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(photo(1)))
    picture: PictureFile = read_picture(path)
    path.write_bytes(encode(photo(2)))
    with picture, closing(Decoders(1)) as decoders:
        features = decoders.extract_features(picture)
    assert features == features_of(io.BytesIO(encode(photo(1))), picture.sha256)


def test_a_processor_without_a_filter_is_reported() -> None:
    assert seccomp.supports("x86_64")
    assert seccomp.supports("aarch64")
    assert not seccomp.supports("sparc")


def test_a_kernel_without_landlock_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
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
        decoders.extract_features(read)
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
