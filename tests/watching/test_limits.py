"""The system's limits for inotify, and how much of them is used."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from inotify_simple import INotify, flags

from snoopsync.watching.limits import Limit, Use, read_limits, read_use


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


def test_the_lower_limit_of_a_container_counts(tmp_path: Path) -> None:
    for name, value in {
        "fs/inotify/max_user_watches": 1000,
        "fs/inotify/max_user_instances": 128,
        "fs/inotify/max_queued_events": 16_384,
        "user/max_inotify_watches": 10,
        "user/max_inotify_instances": 2**31 - 1,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    found = read_limits(tmp_path)
    assert found is not None
    assert found.watches == Limit("user.max_inotify_watches", 10)
    assert found.instances == Limit("fs.inotify.max_user_instances", 128)
    for name in ("watches", "instances"):
        (tmp_path / "user" / f"max_inotify_{name}").unlink()
    found = read_limits(tmp_path)
    assert found is not None
    assert found.watches == Limit("fs.inotify.max_user_watches", 1000)


def test_a_system_without_inotify_has_no_limits(tmp_path: Path) -> None:
    assert read_limits(tmp_path) is None


def test_watches_of_other_programs_are_counted(tmp_path: Path) -> None:
    """Counts only this process, because others come and go."""
    (tmp_path / "1").symlink_to(f"/proc/{os.getpid()}")
    before = read_use(os.getuid(), processes=tmp_path)
    with closing(INotify()) as inotify:
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            inotify.add_watch(tmp_path / name, flags.CREATE)
        now = read_use(os.getuid(), processes=tmp_path)
        assert (now.watches - before.watches, now.instances - before.instances) == (3, 1)
        assert read_use(os.getuid(), besides=1, processes=tmp_path) == Use(0, 0)
        assert read_use(os.getuid() + 1, processes=tmp_path) == Use(0, 0)
