"""A file of lines has whole ones, whoever reads, rotates or fills it."""

from __future__ import annotations

import json
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.log.append_file import append_line


@contextmanager
def room_for(path: Path, size: int) -> Iterator[None]:
    """No file can grow beyond this size; as on a full disk, what fits is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("fits", range(12))
def test_an_incomplete_line_is_ended_before_the_next(tmp_path: Path, fits: int) -> None:
    path = tmp_path / "lines"
    append_line(path, "one")
    with room_for(path, fits), pytest.raises(OSError, match=r"No space|too large"):
        append_line(path, "two and more")
    append_line(path, "three")
    cut = ["two and more"[:fits]] if fits else []
    assert path.read_text().split("\n") == ["one", *cut, "three", ""]


def test_a_line_without_its_end_appears_once(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one")
    append_line(path, "two")
    assert path.read_text() == "one\ntwo\n"


def test_a_new_file_and_its_directories_are_not_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "made" / "too" / "lines"
    append_line(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


def test_the_mode_of_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.touch()
    path.chmod(0o664)
    append_line(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_text_that_no_encoding_has_is_escaped(tmp_path: Path) -> None:
    append_line(tmp_path / "lines", "\udcff\ud800")
    assert (tmp_path / "lines").read_text() == "\\udcff\\ud800\n"


def test_lines_of_several_processes_are_whole(tmp_path: Path) -> None:
    """The service's, and those of commands beside it."""
    path = tmp_path / "lines"
    program = (
        "import sys; from pathlib import Path; from snoopsync.log.append_file import append_line\n"
        "for number in range(500): append_line(Path(sys.argv[1]), sys.argv[2] * 3000)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, path, letter]) for letter in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    lines = path.read_text().splitlines()
    assert sorted(set(lines)) == [letter * 3000 for letter in "abc"]
    assert len(lines) == 1500


def test_a_reader_sees_each_line_complete_and_once_through_a_rotation(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lines"
    append_line(path, "0")
    follower = subprocess.Popen(
        ["tail", "-n", "+1", "-s", "0.05", "-F", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="ascii",
    )
    assert follower.stdout is not None
    seen: list[str] = []
    try:
        seen.append(follower.stdout.readline())
        for number in range(1, 30):
            if number % 10 == 0:
                path.rename(tmp_path / f"old{number}")
            append_line(path, json.dumps({"number": number}))
            seen.append(follower.stdout.readline())
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()
    assert seen[0] == "0\n"
    assert [json.loads(line)["number"] for line in seen[1:]] == list(range(1, 30))
