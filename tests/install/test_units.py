"""systemd's units: what is put into them, and that systemd has nothing against them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from snoopsync.install.units import (
    SYSTEM_UNITS,
    USER_UNITS,
    Installation,
    UnitError,
    is_unchanged,
    render,
    unit_text,
)
from tests.support.paths import ROOT

SERVICES = [name for name in SYSTEM_UNITS if name.endswith(".service")]

#: Copied by hand: a machine that mirrors need not host.
HOSTING = ("snoopsync-collection.service", "snoopsync-collection@.service")

#: What a path may have in it that means something to systemd.
ODD = "with $HOME, 100% %h; #1 and é"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="there is no systemd-analyze: apt-get install systemd",
)


def installation(folder: Path) -> Installation:
    """One with a program that is there, and odd paths."""
    program = folder / ODD / "snoopsync"
    program.parent.mkdir()
    program.touch(0o755)
    return Installation(
        (str(program),),
        folder / ODD / "config.yaml",
        folder / ODD / "secret",
        notify_urls=folder / ODD / "urls",
    )


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def analyze(*arguments: str | Path, runtime: Path) -> str:
    """The output of systemd-analyze, which must succeed."""
    done = subprocess.run(
        ["systemd-analyze", *arguments],
        env=os.environ | {"XDG_RUNTIME_DIR": str(runtime), "SYSTEMD_COLORS": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def settings(text: str, key: str) -> list[str]:
    """The values of a setting."""
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


# --- systemd's opinion


@needs_systemd
def test_systemd_accepts_the_shipped_units(tmp_path: Path) -> None:
    units = [ROOT / "systemd" / name for name in (*SYSTEM_UNITS, *HOSTING)]
    assert analyze("verify", "--recursive-errors=no", *units, runtime=tmp_path) == ""
    own = [ROOT / "systemd" / "user" / name for name in USER_UNITS]
    assert analyze("--user", "verify", "--recursive-errors=no", *own, runtime=tmp_path) == ""


@needs_systemd
def test_systemd_accepts_units_with_odd_paths(tmp_path: Path) -> None:
    """systemd-analyze checks that the program exists, so it has parsed its path."""
    odd = installation(tmp_path)
    units = [written(tmp_path, name, render(unit_text(name), odd)) for name in SYSTEM_UNITS]
    assert analyze("verify", "--recursive-errors=no", *units, runtime=tmp_path) == ""
    Path(odd.program[0]).unlink()
    with pytest.raises(AssertionError, match=re.escape(f"{odd.program[0]} is not executable")):
        analyze("verify", "--recursive-errors=no", *units, runtime=tmp_path)


@needs_systemd
@pytest.mark.parametrize("name", [*SERVICES, *HOSTING])
def test_the_services_are_confined(tmp_path: Path, name: str) -> None:
    """By systemd's own score, from 0 to 10."""
    for text in (unit_text(name), render(unit_text(name), Installation(("/p",)))):
        path = written(tmp_path, name, text)
        said = analyze("security", "--offline=true", path, runtime=tmp_path)
        exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
        assert exposure is not None, said
        assert float(exposure[1]) <= 1.5


# --- what is put into them


def test_a_unit_has_the_paths_of_the_installation(tmp_path: Path) -> None:
    odd = installation(tmp_path)
    text = render(unit_text("snoopsync.service"), odd)
    doubled = str(tmp_path / ODD).replace("%", "%%")
    assert settings(text, "ExecStart") == [f'"{doubled}/snoopsync" run']
    assert settings(text, "Environment") == [f'"SNOOPSYNC_CONFIG={doubled}/config.yaml"']
    assert settings(text, "LoadCredential") == [
        f"snoopsync-secret-key:{doubled}/secret",
        f"snoopsync-notify-urls:{doubled}/urls",
    ]
    resync = render(unit_text("snoopsync-resync.service"), odd)
    assert settings(resync, "ExecStart") == [f'"{doubled}/snoopsync" resync']


def test_dollar_signs_in_arguments_are_escaped() -> None:
    text = render(unit_text("snoopsync.service"), Installation(("/p", "-m", 'a $HOME \\ "b"')))
    assert settings(text, "ExecStart") == [r'/p -m "a $$HOME \\ \"b\"" run']


OF_ITS_OWN = {"User": "snoopsync", "DynamicUser": "yes", "SupplementaryGroups": ""}


@pytest.mark.parametrize(
    ("given", "differs"),
    [
        (Installation(("/p",)), {}),
        (Installation(("/p",), groups=("photos", "a b")), {"SupplementaryGroups": 'photos "a b"'}),
        (Installation(("/p",), account="ada"), {"User": "ada", "DynamicUser": "no"}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", SERVICES)
def test_all_services_run_as_the_same_user(
    name: str, given: Installation, differs: dict[str, str]
) -> None:
    text = render(unit_text(name), given)
    for key, value in (OF_ITS_OWN | differs).items():
        assert settings(text, key) == [value]


@pytest.mark.parametrize(("version", "grows"), [(0, False), (252, False), (254, True)])
def test_restart_delays_grow_where_systemd_supports_it(version: int, grows: bool) -> None:
    for user in (False, True):
        unit = unit_text("snoopsync.service", user=user)
        text = render(unit, Installation(("/p",), systemd=version))
        assert bool(settings(text, "RestartSteps")) == grows
        assert bool(settings(text, "RestartMaxDelaySec")) == grows


def test_other_lines_stay_unchanged() -> None:
    """Everything else in a unit comes from its file."""
    may_change = re.compile("ExecStart|Environment|LoadCredential|User|DynamicUser|Supplementary")
    other = Installation(("/p",), Path("/c"), Path("/s"), "ada", ("photos",))
    for name in SYSTEM_UNITS:
        text = unit_text(name)
        _mark, *lines = render(text, other).splitlines()
        assert len(lines) == len(text.splitlines())
        for before, after in zip(text.splitlines(), lines, strict=True):
            assert before == after or may_change.match(before)


@pytest.mark.parametrize(
    "given",
    [
        Installation(('/a "b"/snoopsync',)),
        Installation(("/a\nExecStart=/b/snoopsync",)),
        Installation(("/p",), config=Path("/new\nline")),
        Installation(("/p",), config=Path(os.fsdecode(b"/not-utf-8-\xff"))),
        Installation(("/p",), secret=Path("/ends in \\")),
        Installation(("/p",), account="a\nb"),
    ],
    ids=repr,
)
def test_unrepresentable_values_are_refused(given: Installation) -> None:
    with pytest.raises(UnitError):
        render(unit_text("snoopsync.service"), given)


def test_the_resync_unit_is_confined_like_the_service() -> None:
    asked, asks = (unit_text(name) for name in SERVICES)
    shut_in = asked[asked.index("\nUser=") : asked.index("\n[Install]")]
    wanted = set(re.findall(r"^\w+=.*$", shut_in, re.MULTILINE))
    missing = wanted - set(asks.splitlines())
    assert missing == {"RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"}
    assert settings(asks, "RestrictAddressFamilies") == ["AF_UNIX"]


#: What the processes that decode pictures call to shut themselves in.
SANDBOX_CALLS = {
    "seccomp",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    "setrlimit",
    "prlimit64",
}

#: So many processes decode pictures, with so much memory each.
DECODERS, DECODER_BYTES = 2, 1 << 30


def allowed_calls(text: str) -> set[str]:
    """The system calls that the last lines of a unit allow again."""
    allowed: set[str] = set()
    for line in settings(text, "SystemCallFilter"):
        if line.startswith("~"):
            allowed.clear()
        else:
            allowed.update(line.split())
    return allowed


@pytest.mark.parametrize("name", [*SERVICES, *HOSTING])
def test_decoders_can_sandbox_themselves(name: str) -> None:
    assert allowed_calls(unit_text(name)) == SANDBOX_CALLS


def test_decoders_of_the_users_service_can_sandbox_themselves() -> None:
    # Limits are in @system-service, which is all that this unit names.
    assert allowed_calls(unit_text("snoopsync.service", user=True)) == {
        "@system-service",
        *(SANDBOX_CALLS - {"setrlimit", "prlimit64"}),
    }


@pytest.mark.parametrize("user", [False, True])
def test_memory_of_decoders_fits_into_the_service(user: bool) -> None:
    text = unit_text("snoopsync.service", user=user)
    (most,) = settings(text, "MemoryMax")
    assert int(most.removesuffix("G")) << 30 > DECODERS * DECODER_BYTES
    assert settings(text, "OOMPolicy") == ["continue"]


@pytest.mark.parametrize(
    ("name", "user"), [*((name, False) for name in (*SERVICES, *HOSTING)), (SERVICES[0], True)]
)
def test_no_core_dumps_are_written(name: str, user: bool) -> None:
    assert settings(unit_text(name, user=user), "LimitCORE") == ["0"]


@pytest.mark.parametrize("name", HOSTING)
def test_the_hosting_units_are_confined_like_the_service(name: str) -> None:
    mirrors, hosts = unit_text(SERVICES[0]), unit_text(name)
    shut_in = mirrors[mirrors.index("\nProtectSystem=") : mirrors.index("\n[Install]")]
    assert set(re.findall(r"^\w+=.*$", shut_in, re.MULTILINE)) <= set(hosts.splitlines())
    assert settings(hosts, "KillMode") == ["mixed"]  # its decoders are its own to end


def test_nodes_of_one_machine_share_nothing_that_they_write() -> None:
    text = unit_text("snoopsync-collection@.service")
    for key in ("User", "StateDirectory"):
        assert settings(text, key) == ["snoopsync-node-%i"]
        assert settings(unit_text("snoopsync-collection.service"), key) != ["snoopsync-node-%i"]
    assert settings(text, "PrivateTmp") == ["yes"]


# --- whose they are


@pytest.mark.parametrize("name", SYSTEM_UNITS)
def test_a_changed_unit_is_recognized(name: str) -> None:
    text = render(unit_text(name), Installation(("/p",)))
    assert is_unchanged(text)
    assert is_unchanged(render(unit_text(name), Installation(("/another",))))
    assert not is_unchanged(text + "# a line\n")
    assert not is_unchanged(text.replace("Description=", "Description=my "))
    assert not is_unchanged(text.partition("\n")[2])
    assert not is_unchanged(unit_text(name))
    assert not is_unchanged("")


# --- the wheel


def test_the_wheel_contains_the_units(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    ask = (
        "from snoopsync.install import units;"
        " print(units.__file__); print(units.unit_text({!r}), end='')"
    )
    for name in SYSTEM_UNITS:
        done = subprocess.run(
            [sys.executable, "-c", ask.format(name)],
            env=os.environ | {"PYTHONPATH": str(tmp_path / "unpacked")},
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        where, _, text = done.stdout.partition("\n")
        assert where.startswith(str(tmp_path))
        assert text == (ROOT / "systemd" / name).read_text()
