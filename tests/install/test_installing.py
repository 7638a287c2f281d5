"""``service install`` and ``service uninstall``, and what they find that a service still needs."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from snoopsync.install.permissions import READ, USE, Reach, Reader, reach
from snoopsync.install.readiness import system_readiness
from snoopsync.install.units import SYSTEM_UNITS, is_unchanged
from tests.support.losing import needs_root
from tests.support.process import UNPRIVILEGED, Done, Installation, command

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """One whose paths all have a space."""
    (tmp_path / "home of ada").mkdir()
    return Installation(tmp_path / "home of ada")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root of another system."""
    return tmp_path / "another system"


def system_directory(root: Path) -> Path:
    return root / "etc/systemd/system"


def own_directory(home: Installation) -> Path:
    return home.home / "config/systemd/user"


def install(home: Installation, root: Path, *options: str) -> Done:
    return home.run("service", "install", "--root", root, *options)


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


# --- there and back


def test_the_systems_units_are_installed_and_removed(home: Installation, root: Path) -> None:
    done = install(home, root)
    assert done.code == 0, done
    units = files(system_directory(root))
    assert set(units) == set(SYSTEM_UNITS)
    assert all(is_unchanged(text) for text in units.values())
    assert {oct(path.stat().st_mode & 0o777) for path in system_directory(root).iterdir()} == {
        "0o644"
    }
    assert done.out.splitlines()[-2:] == [
        "  systemctl daemon-reload",
        "  systemctl enable --now snoopsync.service snoopsync-resync.timer",
    ]
    done = home.run("service", "uninstall", "--root", root)
    assert done.code == 0, done
    assert files(system_directory(root)) == {}
    assert done.out.splitlines()[-2:] == [
        "  systemctl stop snoopsync.service snoopsync-resync.timer",
        "  systemctl daemon-reload",
    ]


def test_a_users_unit_is_installed_and_removed(home: Installation) -> None:
    config = home.configure()
    out = home.ok("service", "install", "--user")
    (text,) = files(own_directory(home)).values()
    program = Path(sys.executable).with_name("snoopsync")
    assert f"\nExecStart={program} run\n" in text
    assert f'\nEnvironment="SNOOPSYNC_CONFIG={config}"\n' in text
    assert "still to do" not in out
    assert out.splitlines()[-2:] == [
        "  systemctl --user daemon-reload",
        "  systemctl --user enable --now snoopsync.service",
    ]
    home.ok("service", "uninstall", "--user")
    assert files(own_directory(home)) == {}


def test_the_system_has_its_own_configuration_if_none_is_named(
    home: Installation, root: Path
) -> None:
    """And not that of whoever installs it, which may be closed to the service."""
    home.configure()
    install(home, root)
    text = (system_directory(root) / "snoopsync.service").read_text()
    assert "\nEnvironment=SNOOPSYNC_CONFIG=/etc/snoopsync/config.yaml\n" in text


@pytest.mark.parametrize("way", ["option", "variable"])
def test_the_configuration_that_is_named_is_the_services(
    home: Installation, root: Path, way: str
) -> None:
    config = home.configure()
    options: list[str | Path] = []
    if way == "option":
        options = ["--config", config.relative_to(home.home)]
    else:
        home.environment["SNOOPSYNC_CONFIG"] = str(config)
    home.ok(*options, "service", "install", "--root", root)
    for name in SYSTEM_UNITS[:2]:
        text = (system_directory(root) / name).read_text()
        assert f'\nEnvironment="SNOOPSYNC_CONFIG={config}"\n' in text


def test_a_configuration_that_is_named_has_to_be_there(home: Installation, root: Path) -> None:
    done = home.run("--config", home.home / "none", "service", "install", "--root", root)
    assert done.code == 78
    assert not root.exists()


def test_a_program_in_a_path_with_a_space_is_found(home: Installation, root: Path) -> None:
    """As it was called, and not where a link leads to: that may change with the next version."""
    program = home.home / "my programs" / "snoopsync"
    program.parent.mkdir()
    program.symlink_to(Path(sys.executable).with_name("snoopsync"))
    done = subprocess.run(
        [program, "service", "install", "--root", root],
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    text = (system_directory(root) / "snoopsync.service").read_text()
    assert f'\nExecStart="{program}" run\n' in text


def test_the_service_is_run_by_whom_one_says(home: Installation, root: Path) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert install(home, root, "--as", me).code == 0
    for name in SYSTEM_UNITS[:2]:
        assert f"\nUser={me}\nDynamicUser=no\n" in (system_directory(root) / name).read_text()
    assert "there is no such user" in install(home, root, "--as", "nobody of this name").err
    assert home.run("service", "install", "--user", "--as", me).code == 2


# --- what a person did


def test_a_unit_that_a_person_changed_is_never_lost(home: Installation, root: Path) -> None:
    install(home, root)
    unit = system_directory(root) / "snoopsync.service"
    changed = unit.read_text() + "# mine\n"
    unit.write_text(changed)
    before = files(system_directory(root))

    for done in (install(home, root), home.run("service", "uninstall", "--root", root)):
        assert done.code == 2
        assert f"{unit}" in done.err
        assert "changed by hand" in done.err
        assert files(system_directory(root)) == before

    assert install(home, root, "--replace").code == 0
    assert is_unchanged(unit.read_text())
    assert unit.with_name("snoopsync.service.old").read_text() == changed
    unit.write_bytes(b"# mine again \xff\n")
    assert install(home, root, "--replace").code == 0
    assert unit.with_name("snoopsync.service.old").read_text() == changed
    assert unit.with_name("snoopsync.service.old1").read_bytes() == b"# mine again \xff\n"


def test_a_unit_of_somebody_else_is_never_lost(home: Installation, root: Path) -> None:
    unit = system_directory(root) / "snoopsync.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/usr/bin/snoopsync run\n")
    assert install(home, root).code == 2
    assert home.run("service", "uninstall", "--root", root).code == 2
    assert [path.name for path in unit.parent.iterdir()] == ["snoopsync.service"]


def test_a_unit_that_is_masked_stays_so(home: Installation, root: Path) -> None:
    unit = system_directory(root) / "snoopsync.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert install(home, root).code == 2
    assert [path.name for path in unit.parent.iterdir()] == ["snoopsync.service"]
    assert unit.is_symlink()


def test_a_unit_that_nobody_changed_is_brought_up_to_date(home: Installation, root: Path) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    install(home, root, "--as", me)
    assert install(home, root).code == 0
    text = (system_directory(root) / "snoopsync.service").read_text()
    assert "\nDynamicUser=yes\n" in text
    assert set(files(system_directory(root))) == set(SYSTEM_UNITS)


def test_what_enabled_a_unit_goes_with_it_and_nothing_else(home: Installation, root: Path) -> None:
    install(home, root)
    directory = system_directory(root)
    wants, own = directory / "multi-user.target.wants", directory / "snoopsync.service.wants"
    for folder, name in ((wants, "snoopsync.service"), (own, "snoopsync-resync.timer")):
        folder.mkdir()
        (folder / name).symlink_to(directory / name)
    (wants / "other.service").symlink_to("/lib/systemd/system/other.service")
    drop_in = directory / "snoopsync.service.d" / "mine.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nNice=5\n")
    assert home.run("service", "uninstall", "--root", root).code == 0
    left = {str(path.relative_to(directory)) for path in directory.rglob("*")}
    assert left == {
        "multi-user.target.wants",
        "multi-user.target.wants/other.service",
        "snoopsync.service.d",
        "snoopsync.service.d/mine.conf",
    }


def test_there_may_be_nothing_to_remove(home: Installation, root: Path) -> None:
    done = home.run("service", "uninstall", "--root", root)
    assert done.code == 0
    assert "there is none" in done.out


def test_without_permission_it_is_said_what_to_do(home: Installation, root: Path) -> None:
    system_directory(root).mkdir(parents=True)
    system_directory(root).chmod(0o555)
    done = subprocess.run(
        [*UNPRIVILEGED, *command("service", "install", "--root", root)],
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"{system_directory(root)}: Permission denied: sudo does it" in done.stderr
    assert "--user" in done.stderr
    assert list(system_directory(root).iterdir()) == []


# --- what a service can get at


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can get at."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


def folder_of(above: Path, *modes: int) -> Path:
    """A folder below others, of these modes from the outermost on."""
    path = above
    for number, _ in enumerate(modes):
        path = path / str(number)
        path.mkdir()
    for rel_path, mode in zip([path, *path.parents], reversed(modes), strict=False):
        rel_path.chmod(mode)
    return path


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
def test_how_far_somebody_gets(
    open_folder: Path, modes: tuple[int, ...], needs_group: bool, barriers: list[str]
) -> None:
    found = reach(folder_of(open_folder, *modes), USE, Reader())
    groups = {open_folder.stat().st_gid} if needs_group else set()
    assert found == Reach(frozenset(groups), tuple(open_folder / each for each in barriers))


def test_a_file_need_only_be_read(open_folder: Path) -> None:
    path = open_folder / "file"
    path.touch(0o644)
    assert reach(path, READ, Reader()).barriers == ()
    assert reach(path, USE, Reader()).barriers == (path,)


def test_what_is_not_there_is_not_in_the_way(open_folder: Path) -> None:
    assert reach(open_folder / "none" / "none", USE, Reader()) == Reach()


def test_the_way_is_that_to_where_a_link_leads(open_folder: Path) -> None:
    target = folder_of(open_folder, 0o700, 0o755)
    (open_folder / "link").symlink_to(target)
    assert reach(open_folder / "link", USE, Reader()).barriers == (target.parent,)


@needs_root
def test_the_system_agrees(open_folder: Path) -> None:
    """With whoever owns a directory, is in its group, or neither."""
    gids = frozenset({NOBODY, 54321})
    owners, modes = ((NOBODY, 0), (0, 54321), (0, 0)), (0o700, 0o070, 0o007, 0o050, 0o005, 0o711)
    expected = {}
    for number, (owner, mode) in enumerate(product(owners, modes)):
        path = open_folder / str(number) / "inner"
        path.mkdir(parents=True)
        os.chown(path.parent, *owner)
        path.parent.chmod(mode)
        for rel_path in (path, path.parent):
            expected[rel_path] = reach(rel_path, USE, Reader(NOBODY, gids)).barriers == ()
    asked = "".join(f"test -r '{path}' -a -x '{path}' && echo '{path}'\n" for path in expected)
    said = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--groups=54321", "sh", "-c", asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(said.stdout.splitlines()) == {str(path) for path, may in expected.items() if may}
    assert 0 < len(said.stdout.splitlines()) < len(expected)


# --- what a service still needs


@pytest.fixture
def program(open_folder: Path) -> tuple[Path]:
    program = open_folder / "snoopsync"
    program.touch(0o755)
    return (program,)


def configured(folder: Path, text: str, mode: int = 0o644) -> Path:
    config = folder / "config.yaml"
    config.write_text(text)
    config.chmod(mode)
    return config


def of_a_service(secret: str) -> str:
    """A configuration with a collection that has its secret in this way."""
    keys = f"endpoint: 'https://host/api/v1', public_key: a, {secret}"
    return f"collection: {{{keys}}}\nfolders: [{{path: /srv}}]\n"


def test_the_groups_that_may_read_the_folders_are_found(
    open_folder: Path, program: tuple[Path]
) -> None:
    folder = folder_of(open_folder, 0o755, 0o750)
    ready = system_readiness(
        configured(open_folder, f"folders: [{{path: {folder}}}]"), program, None
    )
    assert ready.groups == {grp.getgrgid(folder.stat().st_gid).gr_name: folder}


def test_what_is_closed_to_the_service_is_said_with_what_opens_it(
    open_folder: Path, program: tuple[Path]
) -> None:
    folder = folder_of(open_folder, 0o700, 0o755)
    config = configured(open_folder, f"folders: [{{path: {folder}}}]", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config} is closed to the service: chmod 644 {config}" in problems
    assert f"{folder.parent} is closed to the service, on the way to {folder}: " in problems
    me = pwd.getpwuid(os.geteuid())
    problems = "\n".join(system_readiness(config, program, me).problems)
    assert "closed to" not in problems


def test_a_directory_of_the_configuration_that_is_closed_is_opened_first(
    open_folder: Path, program: tuple[Path]
) -> None:
    directory = folder_of(open_folder, 0o700)
    config = configured(directory, "folders: [{path: /srv}]", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config}: chmod 755 {directory} && chmod 644 {config}" in problems
    open_folder.chmod(0o700)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config}: keep the configuration in /etc/snoopsync" in problems


def test_a_configuration_with_the_secret_in_it_is_not_to_be_opened(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, of_a_service("secret_key: b"), 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config} is closed to the service: move its secret key into a file of" in problems


FOLDERS = "folders: [{path: photos}]\n"


def test_addresses_in_a_configuration_are_not_to_be_opened_either(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, f"{FOLDERS}notify: {{urls: ['json://host']}}\n", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "move the addresses of notify into a file of its own, name that in notify" in problems


def test_addresses_are_taken_from_where_the_configuration_has_them(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, f"{FOLDERS}notify: {{urls_file: urls}}\n")
    urls = open_folder / "urls"
    urls.write_text("json://host\n")
    urls.chmod(0o600)
    ready = system_readiness(config, program, None)
    assert ready.notify_urls == urls
    assert "closed" not in "\n".join(ready.problems)


def test_the_secret_is_taken_from_where_the_configuration_has_it(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, of_a_service("secret_key_file: key"))
    secret = open_folder / "key"
    secret.write_text("secret")
    secret.chmod(0o600)
    ready = system_readiness(config, program, None)
    assert ready.secret == secret
    assert "closed" not in "\n".join(ready.problems)


def test_what_the_service_cannot_write_or_see_is_said(
    open_folder: Path, program: tuple[Path]
) -> None:
    text = (
        "folders: [{path: /srv}, {path: /tmp/photos}]\n"
        "state: /srv/state.sqlite3\n"
        "log: {file: /var/log/snoopsync.log}\n"
        "duplicates: {log: /var/lib/snoopsync/duplicates.jsonl}\n"
    )
    config = configured(open_folder, text)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "state: the service can only write below /var/lib/snoopsync" in problems
    assert "log.file: the service can only write below /var/lib/snoopsync" in problems
    assert "duplicates.log" not in problems
    assert "/tmp/photos: the service sees another /tmp" in problems
    assert f"{config}: the service sees another /var/tmp" in problems


def test_commands_have_to_find_the_state_too(open_folder: Path, program: tuple[Path]) -> None:
    config = configured(open_folder, "folders: [{path: /srv}]")
    (hint,) = [each for each in system_readiness(config, program, None).problems if "state" in each]
    assert "set `state: /var/lib/snoopsync/state.sqlite3`" in hint


def test_a_program_that_the_service_cannot_start_is_said(
    open_folder: Path, program: tuple[Path]
) -> None:
    program[0].chmod(0o700)
    config = configured(open_folder, "folders: [{path: /srv}]")
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{program[0]} is closed to the service: install snoopsync where all" in problems


def test_every_mistake_of_the_configuration_is_said(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, "folders: []\nsync: {workers: 0}\n")
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "line 1: folders: is empty" in problems
    assert "line 2: sync.workers" in problems


def test_a_configuration_has_to_be_written_first(home: Installation) -> None:
    out = home.ok("service", "install", "--user")
    config = home.home / "config/snoopsync/config.yaml"
    assert f"still to do: snoopsync init --output '{config}' FOLDER" in out
