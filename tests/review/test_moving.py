"""A file is moved between two directories, and never overwrites another one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from snoopsync.review import moving
from snoopsync.review.moving import move_in, move_out

Move = Callable[[int, bytes, int, bytes], None]

WAYS = ("renameat2", "hard links", "neither")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the file system offers: NFS and sshfs have no renameat2, FAT has no hard links."""
    way: str = request.param

    def link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if way != "renameat2":
        monkeypatch.setattr(moving, "_renameat2", lambda: None)
    if way == "neither":
        monkeypatch.setattr(os, "link", link)
    return way


@contextmanager
def directories(base: Path) -> Iterator[tuple[int, int]]:
    """Descriptors of the directories ``from`` and ``to``."""
    with ExitStack() as stack:
        opened = []
        for name in ("from", "to"):
            (base / name).mkdir(exist_ok=True)
            opened.append(os.open(base / name, os.O_RDONLY | os.O_DIRECTORY))
            stack.callback(os.close, opened[-1])
        yield opened[0], opened[1]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("move", [move_in, move_out])
def test_a_file_is_moved(tmp_path: Path, move: Move) -> None:
    with directories(tmp_path) as (source, target):
        (tmp_path / "from/a").write_bytes(b"a")
        move(source, b"a", target, b"b")
    assert not (tmp_path / "from/a").exists()
    assert (tmp_path / "to/b").read_bytes() == b"a"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("move", [move_in, move_out])
def test_no_file_is_overwritten(tmp_path: Path, move: Move) -> None:
    with directories(tmp_path) as (source, target):
        (tmp_path / "from/a").write_bytes(b"a")
        (tmp_path / "to/b").write_bytes(b"b")
        with pytest.raises(FileExistsError):
            move(source, b"a", target, b"b")
    assert (tmp_path / "from/a").read_bytes() == b"a"
    assert (tmp_path / "to/b").read_bytes() == b"b"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("move", [move_in, move_out])
def test_a_missing_file_leaves_nothing(tmp_path: Path, move: Move) -> None:
    with directories(tmp_path) as (source, target), pytest.raises(FileNotFoundError):
        move(source, b"a", target, b"b")
    assert list((tmp_path / "to").iterdir()) == []
