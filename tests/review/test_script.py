"""The list of marked paths, and the script that moves them: run by real shells."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from snoopsync.review.script import Move, path_list, shell_script

pytestmark = pytest.mark.integration

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)] or ["sh"]

MARKED, KEEP = b"a copy", b"the original"

ODD_NAMES = [
    b"a b.jpg",
    b"-rf",
    b'it\'s $(touch run) `touch run` "x" \\ ; & | * ? ~ #.jpg',
    b"two\nlines.jpg",
    b"'\n'; touch run; '",
    b"\xff\xfe\xe4.jpg",
    "\u202egpj.exe".encode(),
    b"\x1b[31mred.jpg",
    b" ",
    b"x" * 250,
]


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def write(path: bytes, content: bytes) -> bytes:
    file = Path(os.fsdecode(path))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return path


class Place:
    """A folder with a marked file and one to keep, and the folder to move into."""

    def __init__(self, directory: Path, marked: bytes = b"copy.jpg") -> None:
        self.directory = directory
        self.into = directory / "to remove"
        self.marked = write(os.fsencode(directory) + b"/photos/" + marked, MARKED)
        self.keep = write(os.fsencode(directory) + b"/photos/" + marked + b"-original", KEEP)

    @property
    def move(self) -> Move:
        return Move(self.marked, sha256(MARKED), self.keep, sha256(KEEP))

    def run(self, shell: str, *moves: Move) -> subprocess.CompletedProcess[bytes]:
        script = shell_script(moves or [self.move], os.fsencode(self.into))
        path = self.directory / "script"
        path.write_bytes(script)
        command = [shell, "sh"] if shell == "busybox" else [shell]
        return subprocess.run(
            [*command, path], capture_output=True, cwd=self.directory, timeout=60, check=False
        )

    def moved(self) -> list[bytes]:
        return sorted(path.read_bytes() for path in self.into.iterdir())

    def check_all_in_place(self) -> None:
        assert Path(os.fsdecode(self.marked)).exists()
        assert not self.moved()


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_moved_and_runs_nothing(tmp_path: Path, shell: str, name: bytes) -> None:
    place = Place(tmp_path, name[:240])
    done = place.run(shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert place.moved() == [MARKED]
    assert [os.fsencode(path.name) for path in place.into.iterdir()] == [name[:240]]
    assert not Path(os.fsdecode(place.marked)).exists()
    assert not list(tmp_path.rglob("run"))


def test_a_companion_is_moved_after_its_picture_and_not_without_it(
    tmp_path: Path, shell: str
) -> None:
    place = Place(tmp_path)
    companion = Place(tmp_path, b"'it\n&& x'.xmp").move
    move = place.move._replace(companions=(companion,), stay=("a\ntouch run stays: why",))
    done = place.run(shell, move)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"moved: 2, left where they are: 0" in done.stdout
    assert place.moved() == [MARKED, MARKED]

    again = Place(tmp_path / "again")
    companion = Place(tmp_path / "again", b"a.xmp").move
    Path(os.fsdecode(again.keep)).write_bytes(b"changed")
    assert again.run(shell, again.move._replace(companions=(companion,))).returncode == 1
    again.check_all_in_place()
    assert Path(os.fsdecode(companion.marked)).exists()
    assert not list(tmp_path.rglob("run"))


def test_nothing_is_overwritten(tmp_path: Path, shell: str) -> None:
    place = Place(tmp_path)
    write(os.fsencode(place.into) + b"/copy.jpg", b"from before")
    other = Place(tmp_path, b"trip/copy.jpg")
    assert place.run(shell, place.move, other.move).returncode == 0
    assert place.moved() == [MARKED, MARKED, b"from before"]
    assert (place.into / "copy.jpg").read_bytes() == b"from before"


@pytest.mark.parametrize("what", ["gone", "changed", "a link", "a directory", "a FIFO"])
@pytest.mark.parametrize("which", ["keep", "marked"])
def test_a_file_that_is_not_as_it_was_stops_its_own_move_only(
    tmp_path: Path, shell: str, which: str, what: str
) -> None:
    place = Place(tmp_path)
    other = Place(tmp_path, b"other.jpg")
    path = Path(os.fsdecode(place.keep if which == "keep" else place.marked))
    content = path.read_bytes()
    path.unlink()
    if what == "changed":
        path.write_bytes(b"changed")
    elif what == "a link":
        (tmp_path / "target").write_bytes(content)
        path.symlink_to(tmp_path / "target")
    elif what == "a directory":
        path.mkdir()
    elif what == "a FIFO":
        os.mkfifo(path)
    done = place.run(shell, place.move, other.move)
    assert done.returncode == 1
    assert b"copy.jpg: the file" in done.stderr
    assert b"moved: 1, left where they are: 1" in done.stdout
    assert place.moved() == [MARKED]
    assert os.path.lexists(place.marked) == (which == "keep" or what != "gone")


def test_a_hard_link_of_the_file_to_keep_is_not_moved(tmp_path: Path, shell: str) -> None:
    place = Place(tmp_path)
    link = Path(os.fsdecode(place.keep))
    link.unlink()
    os.link(place.marked, link)
    done = place.run(shell, place.move._replace(keep_sha256=sha256(MARKED)))
    assert b"under another name" in done.stderr
    place.check_all_in_place()


def test_a_file_is_not_moved_for_itself(tmp_path: Path, shell: str) -> None:
    place = Place(tmp_path)
    place.run(shell, Move(place.marked, sha256(MARKED), place.marked, sha256(MARKED)))
    place.check_all_in_place()


def test_of_two_files_that_are_to_be_kept_for_each_other_one_stays(
    tmp_path: Path, shell: str
) -> None:
    place = Place(tmp_path)
    move = place.move
    other = Move(move.keep, move.keep_sha256, move.marked, move.marked_sha256)
    assert place.run(shell, move, other).returncode == 1
    assert place.moved() == [MARKED]


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path: Path, shell: str) -> None:
    place = Place(tmp_path, b"\x1b[31m\xff\nred.jpg")
    Path(os.fsdecode(place.keep)).unlink()
    done = place.run(shell)
    assert b"\x1b" not in done.stderr + done.stdout
    assert b"\\x1b[31m\\udcff\\nred.jpg: the file to keep is gone" in done.stderr


def test_paths_must_be_absolute_and_without_nul() -> None:
    move = Move(b"/a", b"", b"/b", b"")
    for wrong in (b"a", b"-rf", b"", b"/a\0b"):
        with pytest.raises(ValueError, match="absolute"):
            shell_script([move._replace(marked=wrong)], b"/into")
        with pytest.raises(ValueError, match="absolute"):
            shell_script([move._replace(keep=wrong)], b"/into")
        with pytest.raises(ValueError, match="absolute"):
            shell_script([move], wrong)


def test_a_list_has_a_path_a_line() -> None:
    paths = [b"/photos/a.jpg", b"/photos/\xff.jpg", b"/photos/two\nlines.jpg"]
    assert path_list(paths) == (b"/photos/a.jpg\n/photos/\xff.jpg\n", [paths[2]])
    assert path_list(paths, null=True) == (b"\0".join(paths) + b"\0", ())
