"""The documentation covers every command, option, exit code, configuration key and event."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
import pytest
import yaml

from snoopsync.cli.root import program
from snoopsync.config import settings
from snoopsync.config.settings import Config
from snoopsync.core.events import Event
from snoopsync.core.exits import Exit
from snoopsync.log.formats import LogFormat
from tests.support.documentation import DOCUMENTATION, PAGES, README, blocks, events
from tests.support.paths import ROOT

TESTS = ROOT / "tests"
EXAMPLE = (ROOT / "config.example.yaml").read_text()
PROMISES = (TESTS / "README.md").read_text()


def commands(group: click.Group, prefix: str = "snoopsync") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{prefix} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")


def options() -> set[tuple[str, ...]]:
    """Every option that is in the help, with its short form."""
    every = [program, *(command for _, command in commands(program))]
    return {
        tuple(parameter.opts)
        for command in every
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and not parameter.hidden
        and parameter.name != "version"
    }


def keys() -> set[str]:
    """The last part of every key of the configuration."""
    sections = [each for each in vars(settings).values() if is_dataclass(each)]
    return {
        field.metadata["key"]
        for section in sections
        for field in fields(section)
        if "key" in field.metadata
    }


@pytest.mark.parametrize("name", [name for name, _ in commands(program)])
def test_the_readme_has_every_command(name: str) -> None:
    assert name in README


@pytest.mark.parametrize("forms", sorted(options()), ids="/".join)
def test_every_option_is_documented(forms: tuple[str, ...]) -> None:
    patterns = [rf"(?<![\w-]){re.escape(form)}(?![\w-])" for form in forms]
    assert any(re.search(pattern, DOCUMENTATION) for pattern in patterns)


def test_the_readme_has_every_exit_code_in_a_table_and_no_other() -> None:
    _, _, rest = README.partition("| exit code |")
    table, _, _ = rest.partition("\n\n")
    codes = re.findall(r"^\| *`?(\d+)`? *\|", table, re.MULTILINE)
    assert sorted(map(int, codes)) == sorted(code.value for code in Exit)


@pytest.mark.parametrize("key", sorted(keys()))
def test_the_example_and_the_table_of_keys_have_every_key(key: str) -> None:
    assert re.search(rf"^\|.*(?<!\w){key}(?!\w)", PAGES["configuration"], re.MULTILINE)
    assert re.search(rf"(^|[ #{{]){key}:", EXAMPLE, re.MULTILINE)


def test_the_table_of_events_has_every_event_and_no_other() -> None:
    """``conftest`` checks levels and keys on every line that any test logs."""
    assert set(events()) == {event.value for event in Event}


def test_every_format_of_the_log_is_in_a_table() -> None:
    formats = re.findall(r"^\| `(\w+)` \|", PAGES["alerts"], re.MULTILINE)
    assert set(formats) >= {kind.value for kind in LogFormat}


@pytest.mark.parametrize("script", blocks(DOCUMENTATION, "sh"))
def test_a_documented_script_is_valid(script: str) -> None:
    done = subprocess.run(
        ["sh", "-n"], input=script, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_unknown_command_is_documented() -> None:
    known = {name.split()[1] for name, _ in commands(program)}
    code = "\n".join(re.findall(r"^```.*?^```", DOCUMENTATION, re.MULTILINE | re.DOTALL))
    named = set(re.findall(r"^(?:\$ )?snoopsync (?:-\S+ )*([a-z]+)", code, re.MULTILINE))
    assert named
    assert named <= known


def test_the_keys_of_the_example_are_those_of_the_configuration() -> None:
    top = {field.metadata["key"] for field in fields(Config) if "key" in field.metadata}
    assert set(yaml.safe_load(EXAMPLE)) <= top


def test_the_readme_takes_ten_minutes_to_read() -> None:
    assert len(README.splitlines()) <= 250


LINK = re.compile(r"!?\[[^]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
SOURCES = {ROOT / "README.md": README} | {
    ROOT / "docs" / f"{name}.md": text for name, text in PAGES.items()
}


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of this page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", SOURCES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(SOURCES[page]):
        if target.startswith("https:"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"README"}))
def test_every_page_is_linked_from_the_readme_or_the_list_of_pages(page: str) -> None:
    assert f"](docs/{page}.md)" in README or f"]({page}.md)" in PAGES["README"]


def test_all_sixteen_promises_are_in_the_table() -> None:
    rows = re.findall(r"^\| ([^|]*) \| ([^|]+) \| ([^|]+) \|$", PROMISES, re.MULTILINE)
    numbers = [int(promise.split()[0]) for promise, _, _ in rows if promise[:1].isdigit()]
    assert numbers == list(range(1, 17))
