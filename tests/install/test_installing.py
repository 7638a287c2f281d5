"""``service install`` and ``service uninstall``, and the checks before."""

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

from snoopsync.install.permissions import READ, USE, Access, Reader, check_access
from snoopsync.install.readiness import system_readiness
from snoopsync.install.units import SYSTEM_UNITS, is_unchanged
from tests.support.losing import needs_root
from tests.support.process import UNPRIVILEGED, Done, Installation, command

NOBODY = 65534


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """An installation with a space in all of its paths."""
    (tmp_path / "home of ada").mkdir()
    return Installation(tmp_path / "home of ada")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The root directory of another system."""
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
    assert "to do first" not in out
    assert out.splitlines()[-2:] == [
        "  systemctl --user daemon-reload",
        "  systemctl --user enable --now snoopsync.service",
    ]
    home.ok("service", "uninstall", "--user")
    assert files(own_directory(home)) == {}


def test_the_systems_service_has_the_systems_configuration(home: Installation, root: Path) -> None:
    """Not the installing user's own, which the service may be unable to read."""
    home.configure()
    install(home, root)
    text = (system_directory(root) / "snoopsync.service").read_text()
    assert "\nEnvironment=SNOOPSYNC_CONFIG=/etc/snoopsync/config.yaml\n" in text


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_named_configuration_is_used(home: Installation, root: Path, way: str) -> None:
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


def test_a_named_configuration_must_exist(home: Installation, root: Path) -> None:
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


def test_as_sets_the_user(home: Installation, root: Path) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert install(home, root, "--as", me).code == 0
    for name in SYSTEM_UNITS[:2]:
        assert f"\nUser={me}\nDynamicUser=no\n" in (system_directory(root) / name).read_text()
    assert "unknown user" in install(home, root, "--as", "nobody of this name").err
    assert home.run("service", "install", "--user", "--as", me).code == 2


# --- what a person did


def test_a_unit_changed_by_hand_is_kept(home: Installation, root: Path) -> None:
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


def test_a_foreign_unit_is_kept(home: Installation, root: Path) -> None:
    unit = system_directory(root) / "snoopsync.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/usr/bin/snoopsync run\n")
    assert install(home, root).code == 2
    assert home.run("service", "uninstall", "--root", root).code == 2
    assert [path.name for path in unit.parent.iterdir()] == ["snoopsync.service"]


def test_a_masked_unit_stays_masked(home: Installation, root: Path) -> None:
    unit = system_directory(root) / "snoopsync.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert install(home, root).code == 2
    assert [path.name for path in unit.parent.iterdir()] == ["snoopsync.service"]
    assert unit.is_symlink()


def test_an_unchanged_unit_is_updated(home: Installation, root: Path) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    install(home, root, "--as", me)
    assert install(home, root).code == 0
    text = (system_directory(root) / "snoopsync.service").read_text()
    assert "\nDynamicUser=yes\n" in text
    assert set(files(system_directory(root))) == set(SYSTEM_UNITS)


def test_uninstall_removes_only_the_links_to_its_units(home: Installation, root: Path) -> None:
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


def test_uninstall_without_units_succeeds(home: Installation, root: Path) -> None:
    done = home.run("service", "uninstall", "--root", root)
    assert done.code == 0
    assert "no units are installed" in done.out


def test_a_permission_error_says_what_to_do(home: Installation, root: Path) -> None:
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
    assert f"{system_directory(root)}: Permission denied: run this command with sudo" in done.stderr
    assert "--user" in done.stderr
    assert list(system_directory(root).iterdir()) == []


# --- what a service can get at


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that all users can access."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


def folder_of(above: Path, *modes: int) -> Path:
    """A nested folder. ``modes`` are those of its parts, the outermost first."""
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


def test_a_missing_path_is_no_barrier(open_folder: Path) -> None:
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
    """A configuration for a service, with this key for the secret."""
    keys = f"endpoint: 'https://host/api/v1', public_key: a, {secret}"
    return f"collection: {{{keys}}}\nfolders: [{{path: /srv}}]\n"


def test_groups_that_can_read_the_folders_are_found(
    open_folder: Path, program: tuple[Path]
) -> None:
    folder = folder_of(open_folder, 0o755, 0o750)
    ready = system_readiness(
        configured(open_folder, f"folders: [{{path: {folder}}}]"), program, None
    )
    assert ready.groups == {grp.getgrgid(folder.stat().st_gid).gr_name: folder}


def test_missing_access_is_reported_with_the_fix(open_folder: Path, program: tuple[Path]) -> None:
    folder = folder_of(open_folder, 0o700, 0o755)
    config = configured(open_folder, f"folders: [{{path: {folder}}}]", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"the service has no access to {config}: chmod 644 {config}" in problems
    assert f"the service has no access to {folder.parent}, which contains {folder}: " in problems
    me = pwd.getpwuid(os.geteuid())
    problems = "\n".join(system_readiness(config, program, me).problems)
    assert "no access" not in problems


def test_the_configurations_directory_is_opened_first(
    open_folder: Path, program: tuple[Path]
) -> None:
    directory = folder_of(open_folder, 0o700)
    config = configured(directory, "folders: [{path: /srv}]", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config}: chmod 755 {directory} && chmod 644 {config}" in problems
    open_folder.chmod(0o700)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config}: move the configuration to /etc/snoopsync" in problems


def test_a_configuration_with_the_secret_stays_private(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, of_a_service("secret_key: b"), 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"the service has no access to {config}: move the secret key to a separate" in problems


FOLDERS = "folders: [{path: photos}]\n"


def test_a_configuration_with_addresses_stays_private(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, f"{FOLDERS}notify: {{urls: ['json://host']}}\n", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "move notify.urls to a separate file and name that file in notify" in problems


def test_the_configured_file_of_addresses_is_used(open_folder: Path, program: tuple[Path]) -> None:
    config = configured(open_folder, f"{FOLDERS}notify: {{urls_file: urls}}\n")
    urls = open_folder / "urls"
    urls.write_text("json://host\n")
    urls.chmod(0o600)
    ready = system_readiness(config, program, None)
    assert ready.notify_urls == urls
    assert "no access" not in "\n".join(ready.problems)


def test_the_configured_file_of_the_secret_is_used(open_folder: Path, program: tuple[Path]) -> None:
    config = configured(open_folder, of_a_service("secret_key_file: key"))
    secret = open_folder / "key"
    secret.write_text("secret")
    secret.chmod(0o600)
    ready = system_readiness(config, program, None)
    assert ready.secret == secret
    assert "no access" not in "\n".join(ready.problems)


def test_paths_outside_the_service_are_reported(open_folder: Path, program: tuple[Path]) -> None:
    text = (
        "folders: [{path: /srv}, {path: /tmp/photos}]\n"
        "state: /srv/state.sqlite3\n"
        "log: {file: /var/log/snoopsync.log}\n"
        "duplicates: {log: /var/lib/snoopsync/duplicates.jsonl}\n"
    )
    config = configured(open_folder, text)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "state: the service can write only below /var/lib/snoopsync" in problems
    assert "log.file: the service can write only below /var/lib/snoopsync" in problems
    assert "duplicates.log" not in problems
    assert "/tmp/photos: the service has a private /tmp" in problems
    assert f"{config}: the service has a private /var/tmp" in problems


def test_the_state_must_be_set_for_commands(open_folder: Path, program: tuple[Path]) -> None:
    config = configured(open_folder, "folders: [{path: /srv}]")
    (hint,) = [each for each in system_readiness(config, program, None).problems if "state" in each]
    assert "set `state: /var/lib/snoopsync/state.sqlite3`" in hint


def test_an_inaccessible_program_is_reported(open_folder: Path, program: tuple[Path]) -> None:
    program[0].chmod(0o700)
    config = configured(open_folder, "folders: [{path: /srv}]")
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"the service has no access to {program[0]}: install snoopsync where all" in problems


def test_every_problem_of_the_configuration_is_reported(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, "folders: []\nsync: {workers: 0}\n")
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "line 1: folders: is empty" in problems
    assert "line 2: sync.workers" in problems


def test_a_missing_configuration_is_reported(home: Installation) -> None:
    out = home.ok("service", "install", "--user")
    config = home.home / "config/snoopsync/config.yaml"
    assert f"to do first: snoopsync init --output '{config}' FOLDER" in out
