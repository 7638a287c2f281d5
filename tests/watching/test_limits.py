"""The system's limits for inotify, and how much of them is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snoopsync.watching.limits import Limit, Limits, Use, read_limits, read_use

SYSTEM = {
    "fs/inotify/max_user_watches": 65536,
    "fs/inotify/max_user_instances": 128,
    "fs/inotify/max_queued_events": 16384,
}


def write_limits(sysctls: Path, limits: dict[str, int]) -> None:
    for name, value in limits.items():
        file = sysctls / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")


def add_process(processes: Path, number: int, *instances: int) -> None:
    """A process with an inotify instance of each of these numbers of watches."""
    for name in ("fd", "fdinfo"):
        (processes / str(number) / name).mkdir(parents=True)
    for descriptor, watches in enumerate(instances):
        (processes / str(number) / "fd" / str(descriptor)).symlink_to("anon_inode:inotify")
        information = "pos:\t0\n" + "inotify wd:1 ino:2\n" * watches
        (processes / str(number) / "fdinfo" / str(descriptor)).write_text(information)
    (processes / str(number) / "fd" / "99").symlink_to("/dev/null")


def test_the_limits_are_those_of_the_system(tmp_path: Path) -> None:
    write_limits(tmp_path, SYSTEM)
    assert read_limits(tmp_path) == Limits(
        Limit("fs.inotify.max_user_watches", 65536),
        Limit("fs.inotify.max_user_instances", 128),
        Limit("fs.inotify.max_queued_events", 16384),
    )


@pytest.mark.parametrize(
    ("of_the_container", "expected"),
    [
        (1000, Limit("user.max_inotify_watches", 1000)),
        (100_000, Limit("fs.inotify.max_user_watches", 65536)),
    ],
)
def test_the_lower_limit_counts_and_is_named(
    tmp_path: Path, of_the_container: int, expected: Limit
) -> None:
    write_limits(tmp_path, SYSTEM | {"user/max_inotify_watches": of_the_container})
    limits = read_limits(tmp_path)
    assert limits is not None
    assert limits.watches == expected


def test_a_system_without_inotify_has_no_limits(tmp_path: Path) -> None:
    assert read_limits(tmp_path) is None


def test_the_watches_and_instances_of_all_processes_are_added_up(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 3, 4)
    add_process(tmp_path, 11, 5)
    (tmp_path / "self").mkdir()
    assert read_use(os.getuid(), processes=tmp_path) == Use(watches=12, instances=3)


def test_one_process_can_be_left_out(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 3)
    add_process(tmp_path, 11, 5)
    assert read_use(os.getuid(), besides=11, processes=tmp_path) == Use(watches=3, instances=1)


def test_processes_of_other_users_do_not_count(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 3)
    assert read_use(os.getuid() + 1, processes=tmp_path) == Use(watches=0, instances=0)


def test_a_process_that_ends_meanwhile_does_not_count(tmp_path: Path) -> None:
    add_process(tmp_path, 10, 3)
    (tmp_path / "11").mkdir()
    (tmp_path / "10" / "fdinfo" / "0").unlink()
    assert read_use(os.getuid(), processes=tmp_path).watches == 0
