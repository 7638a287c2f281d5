"""Processes without standard streams, and with a locale that is not UTF-8."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.pictures import encode, photo
from tests.support.process import Installation, command, unconfigured, until

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return unconfigured(tmp_path)


def closing(*streams: str) -> tuple[str, ...]:
    """The prefix of a command that runs without these streams."""
    return ("sh", "-c", f'exec "$@" {" ".join(f"{each}-" for each in streams)}', "sh")


@pytest.mark.parametrize("command", ["status", "list", "check", "resync", "list --json"])
@pytest.mark.parametrize("streams", [(">&",), ("2>&",), ("<&", ">&", "2>&")])
def test_a_command_works_without_standard_streams(
    home: Installation, command: str, streams: tuple[str, ...]
) -> None:
    home.configure()
    home.ok("resync")
    done = home.run_process(*command.split(), under=closing(*streams))
    assert done.code == 0, done
    assert "Traceback" not in done.err


def test_a_service_starts_without_standard_error_and_logs_to_its_file(home: Installation) -> None:
    """Nor is anything written into the file that would have got its descriptor."""
    log = home.home / "the.log"
    home.configure(f"sync: {{settle: 50ms}}\nlog: {{file: {log}}}\n")
    with home.service("run", under=closing("<&", ">&", "2>&")) as service:
        until(home.is_in_sync)
        assert service.end() == 0
    assert "1 added" in log.read_text()
    assert home.is_in_sync()


def latin(directory: Path) -> dict[str, str]:
    """The environment of a Latin-1 locale, made here, since few systems have one."""
    localedef = shutil.which("localedef")
    path = directory / "en_US.ISO-8859-1"
    made = (
        localedef
        and not subprocess.run(
            [localedef, "-i", "en_US", "-f", "ISO-8859-1", path], check=False, capture_output=True
        ).returncode
    )
    if not made:
        pytest.skip("this system can't make a locale")
    return {"LOCPATH": str(directory), "LC_ALL": "en_US.ISO-8859-1"}


def ascii_only(_directory: Path) -> dict[str, str]:
    return {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("locale", [latin, ascii_only])
def test_names_are_utf_8_whatever_the_locale(home: Installation, locale: object) -> None:
    """The same folder, the same images, with the same IDs."""
    assert callable(locale)
    album = os.fsencode(home.home) + "/Müller".encode()
    os.mkdir(album)  # noqa: PTH102 - as bytes
    for seed, name in enumerate(["ü.jpg".encode(), b"\xfc.jpg"]):
        with open(album + b"/" + name, "wb") as file:  # noqa: PTH123 - as bytes
            file.write(encode(photo(seed)))
    config = home.home / "config" / "snoopsync" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f"folders: [{{path: '{home.home}/Müller'}}]\nsync: {{settle: 50ms}}\n", encoding="utf-8"
    )
    here = home.run_process("list", "--json")
    assert here.code == 0, here
    usual = dict(home.environment)
    home.environment |= locale(home.home)
    first = home.run_process("resync")
    assert first.code == 0, first
    there = [json.loads(line) for line in home.run_process("list", "--json").out.splitlines()]
    assert [row["path"] for row in there] == ["ü.jpg", "\udcfc.jpg"]
    assert {row["folder"] for row in there} == {"Müller"}
    found = home.run_process("search", album + "/ü.jpg".encode(), "--json")
    assert json.loads(found.out)["results"][0]["path"] == "ü.jpg"
    home.environment = usual
    again = home.run_process("resync", "--json")
    assert json.loads(again.out.splitlines()[-1])["unchanged"] == 2, again


def test_output_has_the_encoding_of_the_locale(home: Installation) -> None:
    (home.pictures / "ü.jpg").write_bytes(encode(photo(2)))
    home.configure()
    home.ok("resync")
    home.environment |= latin(home.home)
    shown = subprocess.run(
        command("list"),
        env=home.environment,
        cwd=home.home,
        capture_output=True,
        check=True,
    )
    assert b"\xfc.jpg" in shown.stdout
