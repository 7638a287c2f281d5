"""The system's limits for inotify, and how much of them is used."""

from __future__ import annotations

import os
from pathlib import Path

from snoopsync.watching.limits import Use, read_use


def add_process(processes: Path, number: int, *instances: int) -> None:
    """A process with an inotify instance of each of these numbers of watches."""
    for name in ("fd", "fdinfo"):
        (processes / str(number) / name).mkdir(parents=True)
    for descriptor, watches in enumerate(instances):
        (processes / str(number) / "fd" / str(descriptor)).symlink_to("anon_inode:inotify")
        information = "pos:\t0\n" + "inotify wd:1 ino:2\n" * watches
        (processes / str(number) / "fdinfo" / str(descriptor)).write_text(information)
    (processes / str(number) / "fd" / "99").symlink_to("/dev/null")


def test_the_watches_and_instances_of_all_processes_are_added_up(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 3, 4)
    add_process(tmp_path, 11, 5)
    (tmp_path / "self").mkdir()
    assert read_use(os.getuid(), processes=tmp_path) == Use(watches=12, instances=3)


def test_a_process_that_ends_meanwhile_does_not_count(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 3)
    (tmp_path / "11").mkdir()
    (tmp_path / "10" / "fdinfo" / "0").unlink()
    assert read_use(os.getuid(), processes=tmp_path).watches == 0
