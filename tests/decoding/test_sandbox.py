"""Decoders give up everything but answering; what is missing is reported with its cause."""

from __future__ import annotations

import errno
import platform
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.pool import Pool
from tests.decoding.helpers import ask, processes_of
from tests.support.pictures import encode, photo


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


def test_a_decoder_whose_parent_ended_before_the_sandbox_ends_too() -> None:
    """The kernel then never sends the signal that ends a decoder with its parent."""
    code = (
        "from snoopsync.decoding.sandbox import DecoderLimits, enter;"
        " enter(DecoderLimits(), parent=2**22); print('lives')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b""


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
def test_refused_restrictions_are_distinguished_from_missing_ones(
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
