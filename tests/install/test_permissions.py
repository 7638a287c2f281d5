"""Which users can reach a path: the check agrees with the kernel."""

from __future__ import annotations

import os
import subprocess
from itertools import product
from pathlib import Path

import pytest

from snoopsync.install.permissions import READ, USE, Access, Reader, check_access
from tests.install.helpers import folder_of
from tests.support.losing import needs_root

NOBODY = 65534


@pytest.mark.parametrize(
    ("modes", "needs_group", "barriers"),
    [
        ((0o755, 0o755), False, []),
        ((0o711, 0o755), False, []),
        ((0o755, 0o750), True, []),
        ((0o710, 0o755), True, []),
        ((0o755, 0o711), False, ["0/1"]),
        ((0o755, 0o740), False, ["0/1"]),
        ((0o700, 0o755), False, ["0"]),
        ((0o750, 0o700), True, ["0/1"]),
        ((0o700, 0o700), False, ["0", "0/1"]),
    ],
)
def test_access_needs_groups_or_has_barriers(
    open_folder: Path, modes: tuple[int, ...], needs_group: bool, barriers: list[str]
) -> None:
    found = check_access(folder_of(open_folder, *modes), USE, Reader())
    groups = {open_folder.stat().st_gid} if needs_group else set()
    assert found == Access(frozenset(groups), tuple(open_folder / each for each in barriers))


def test_reading_a_file_needs_no_execute_permission(open_folder: Path) -> None:
    path = open_folder / "file"
    path.touch(0o644)
    assert check_access(path, READ, Reader()).barriers == ()
    assert check_access(path, USE, Reader()).barriers == (path,)


def test_a_missing_path_is_not_a_barrier(open_folder: Path) -> None:
    assert check_access(open_folder / "none" / "none", USE, Reader()) == Access()


def test_access_is_checked_for_the_target_of_a_link(open_folder: Path) -> None:
    target = folder_of(open_folder, 0o700, 0o755)
    (open_folder / "link").symlink_to(target)
    assert check_access(open_folder / "link", USE, Reader()).barriers == (target.parent,)


@needs_root
def test_the_kernel_agrees(open_folder: Path) -> None:
    """As the owner, as a member of the group, and as another user."""
    gids = frozenset({NOBODY, 54321})
    owners, modes = ((NOBODY, 0), (0, 54321), (0, 0)), (0o700, 0o070, 0o007, 0o050, 0o005, 0o711)
    expected = {}
    for number, (owner, mode) in enumerate(product(owners, modes)):
        path = open_folder / str(number) / "inner"
        path.mkdir(parents=True)
        os.chown(path.parent, *owner)
        path.parent.chmod(mode)
        for rel_path in (path, path.parent):
            expected[rel_path] = check_access(rel_path, USE, Reader(NOBODY, gids)).barriers == ()
    asked = "".join(f"test -r '{path}' -a -x '{path}' && echo '{path}'\n" for path in expected)
    said = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--groups=54321", "sh", "-c", asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(said.stdout.splitlines()) == {str(path) for path, may in expected.items() if may}
    assert 0 < len(said.stdout.splitlines()) < len(expected)
