"""``service install`` and ``service uninstall``, and the checks before."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from snoopsync.install.units import SYSTEM_UNITS, is_unchanged
from tests.support.process import UNPRIVILEGED, Done, Installation, command


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


def test_a_missing_configuration_is_reported(home: Installation) -> None:
    out = home.ok("service", "install", "--user")
    config = home.home / "config/snoopsync/config.yaml"
    assert f"to do first: snoopsync init --output '{config}' FOLDER" in out
