"""``docs/json.md`` has exactly the keys and types that each ``--json`` prints."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snoopsync.cli.root import program
from snoopsync.embedded import open_embedded
from snoopsync.sync.components import embedded_path
from tests.docs.test_docs import commands
from tests.embedded.helpers import make_outdated
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.documentation import PAGES, blocks, section
from tests.support.faults import Hang
from tests.support.pictures import encode, photo
from tests.support.postbox import Postbox
from tests.support.postgres import Cluster, why_not
from tests.support.process import QUICK_SYNC, Installation, command, until

#: The sections of the page that describe an object.
SHAPES = [
    *("Errors", "status", "status --watch", "resync", "resync --dry-run", "check", "list"),
    *(
        "duplicates",
        "duplicates --pairs",
        "search",
        "notify test",
        "keys add",
        "keys list",
        "serve import",
        "serve export",
        "The log",
    ),
]

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "text": str,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "counts": dict,
    "list of text": list,
    "list of objects": list,
    "null": type(None),
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Key:
    """One documented key. ``types``: keys of ``TYPES``."""

    types: tuple[str, ...]
    is_optional: bool

    def allows(self, value: object) -> bool:
        """Is this value of one of the types?"""
        return any(_has_type(value, each) for each in self.types)


def _has_type(value: object, name: str) -> bool:
    if not isinstance(value, TYPES[name]) or (name == "number" and isinstance(value, bool)):
        return False
    if name == "list of text":
        return all(isinstance(each, str) for each in value)  # type: ignore[attr-defined]
    if name == "counts":
        return all(isinstance(each, int) for each in value.values())  # type: ignore[attr-defined]
    return True


def documented(shape: str) -> dict[str, Key]:
    """The table of this section: each key with its dotted path."""
    found = {}
    for row in re.findall(r"^\| (`.*)\|$", section(PAGES["json"], shape), re.MULTILINE):
        keys, kind, _meaning = (cell.strip() for cell in row.split("|"))
        types = tuple(kind.removeprefix("optional ").split(" or "))
        for key in re.findall(r"`([^`]+)`", keys):
            found[key] = Key(types, kind.startswith("optional "))
    return found


def objects(message: Json, keys: Mapping[str, Key], prefix: str = "") -> Iterator[tuple[str, Json]]:
    """The message and each object in it, with what comes before its keys in the table."""
    yield prefix, message
    for name, value in message.items():
        path = prefix + name
        if isinstance(value, dict) and path in keys and "counts" not in keys[path].types:
            yield from objects(value, keys, f"{path}.")
        elif isinstance(value, list):
            for each in value:
                if isinstance(each, dict):
                    yield from objects(each, keys, f"{path}[].")


def values(message: Json, keys: Mapping[str, Key]) -> Iterator[tuple[str, Any]]:
    """Each value of the message, and of the objects in it, by its dotted path."""
    for prefix, each in objects(message, keys):
        for name, value in each.items():
            yield prefix + name, value


def missing(message: Json, keys: Mapping[str, Key]) -> list[str]:
    """The keys that are not optional and that an object of this message lacks."""
    return [
        path
        for prefix, each in objects(message, keys)
        for path, key in keys.items()
        if path.startswith(prefix) and "." not in (name := path[len(prefix) :])
        if not key.is_optional and name not in each
    ]


def lines(text: str) -> list[Json]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Samples(dict[str, list[Json]]):
    """What the commands printed, by the section that describes it."""

    def add(self, shape: str, messages: Sequence[Json]) -> None:
        assert messages, shape
        self.setdefault(shape, []).extend(messages)

    def of(self, shape: str) -> list[Json]:
        """What was printed. Skips the test if the command cannot run here."""
        if shape in ("serve import", "serve export") and (reason := why_not()) is not None:
            pytest.skip(reason)
        return self[shape]

    def run(self, home: Installation, shape: str, *arguments: str | Path) -> list[Json]:
        """Run the command, and keep what it prints."""
        messages = lines(home.run(*arguments).out)
        self.add(shape, messages)
        return messages


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Samples:
    samples = Samples()
    _of_one_installation(samples, Installation(tmp_path_factory.mktemp("home")))
    _of_a_service_that_sends(samples, Installation(tmp_path_factory.mktemp("sending")))
    home = Installation(tmp_path_factory.mktemp("hosting"))
    _of_hosting(samples, home)
    if why_not() is None:
        cluster: Cluster = request.getfixturevalue("cluster")
        _of_moving(samples, home, cluster.new_database())
    return samples


def _of_one_installation(samples: Samples, home: Installation) -> None:
    samples.add("Errors", lines(home.run("resync", "--json").err))
    home.configure()
    samples.run(home, "status", "status", "--json")  # nothing was mirrored yet
    picture = encode(photo(1, (640, 480)))
    (home.pictures / "a.jpg").write_bytes(picture)
    (home.pictures / "copy.jpg").write_bytes(picture)
    # Of enough copies that go, some have a smaller ID than the one that stays, some a larger one.
    more = [home.pictures / f"more{number}.jpg" for number in range(8)]
    for path in more:
        path.write_bytes(picture)
    (home.pictures / "small.webp").write_bytes(encode(photo(1), "WEBP"))
    (home.pictures / "empty.jpg").write_bytes(b"")
    (home.pictures / "notes.txt").write_bytes(b"x")
    *plan, summary = lines(home.run("resync", "--dry-run", "--json").out)
    samples.add("resync --dry-run", plan)
    samples.add("resync", [summary])
    done = home.run("--log-format", "json", "resync", "--json")
    samples.add("resync", lines(done.out))
    samples.add("The log", [line for line in lines(done.err) if "event" in line])
    for path in more:
        path.unlink()
    samples.run(home, "resync", "resync", "--json")
    samples.run(home, "status", "status", "--json")
    samples.run(home, "list", "list", "--json")
    samples.run(home, "duplicates", "duplicates", "--all", "--json")
    samples.run(home, "duplicates --pairs", "duplicates", "--pairs", "--all", "--json")
    with closing(open_embedded(embedded_path(home.state))) as collection:
        collection.add_image(home.pictures / "a.jpg", "other.a", label="attic: a.jpg")
    samples.run(home, "search", "search", home.pictures / "a.jpg", "--json")
    samples.run(home, "check", "check", "--json")
    with home.running():
        samples.run(home, "status", "status", "--json")
    _of_an_older_version(samples, home)
    _of_notifications(samples, home)
    home.state.write_bytes(b"x" * 8192)
    samples.add("status --watch", [_first_line(home)])
    samples.add("Errors", lines(home.run("list", "--json").err))


def _of_an_older_version(samples: Samples, home: Installation) -> None:
    ids = [image["image_id"] for image in home.json("list", "--json", "--state", "synced")]
    database = home.state.parent / "collection" / "collection.sqlite3"
    make_outdated(database, *ids)
    samples.run(home, "status", "status", "--json")


def _of_notifications(samples: Samples, home: Installation) -> None:
    with Postbox() as postbox:
        home.configure(f"notify: {{urls: ['{postbox.url}']}}\n{QUICK_SYNC}")
        samples.run(home, "notify test", "notify", "test", "--json")
        postbox.status = 500
        samples.run(home, "notify test", "notify", "test", "--json")


def _first_line(home: Installation) -> Json:
    with subprocess.Popen(
        command("status", "--watch", "--json"),
        env=home.environment,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    message: Json = json.loads(line)
    return message


def _of_a_service_that_sends(samples: Samples, home: Installation) -> None:
    (home.pictures / "a.jpg").write_bytes(encode(photo(1)))
    with (
        closing(open_embedded(home.home / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
    ):
        home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        home.configure_service(server.endpoint, PUBLIC_KEY)
        upload = Hang()
        server.fault_for = lambda seen: upload if seen.length else None
        try:
            with home.service():
                until(upload.reached.is_set)
                until(lambda: home.status()["progress"])
                samples.run(home, "status", "status", "--json")
        finally:
            upload.release()


def _of_hosting(samples: Samples, home: Installation) -> None:
    data = home.home / "data"
    [key] = samples.run(home, "keys add", "keys", "add", "family", "--data", data, "--json")
    samples.run(home, "keys list", "keys", "list", "--data", data, "--json")
    home.ok("keys", "revoke", key["public_key"], "--data", data)
    samples.run(home, "keys list", "keys", "list", "--data", data, "--json")


def _of_moving(samples: Samples, home: Installation, url: str) -> None:
    for verb in ("import", "export"):
        move = ("serve", verb, "--data", home.home / "data", "--database", url)
        samples.run(home, f"serve {verb}", *move, "--json")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_page_has_exactly_the_keys_that_are_printed(samples: Samples, shape: str) -> None:
    keys = documented(shape)
    printed = {path for message in samples.of(shape) for path, _ in values(message, keys)}
    if shape == "The log":
        printed &= keys.keys()  # the other keys are those of the event
    assert printed == keys.keys()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_value_has_a_documented_type(samples: Samples, shape: str) -> None:
    keys = documented(shape)
    for message in samples.of(shape):
        for path, value in values(message, keys):
            assert path not in keys or keys[path].allows(value), (path, value)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_that_is_not_optional_is_always_printed(samples: Samples, shape: str) -> None:
    keys = documented(shape)
    for message in samples.of(shape):
        assert missing(message, keys) == []


@pytest.mark.parametrize("shape", SHAPES)
def test_the_example_has_the_documented_shape(shape: str) -> None:
    keys = documented(shape)
    [example] = blocks(section(PAGES["json"], shape), "json")
    message = json.loads(example)
    assert missing(message, keys) == []
    for path, value in values(message, keys):
        assert shape == "The log" or path in keys, path
        assert path not in keys or keys[path].allows(value), (path, value)


def test_every_section_with_an_example_is_tested() -> None:
    sections = re.findall(r"^## (.+)$", PAGES["json"], re.MULTILINE)
    assert set(SHAPES) == {
        title for title in sections if blocks(section(PAGES["json"], title), "json")
    }


def test_every_command_with_json_has_a_section() -> None:
    names = {
        name.removeprefix("snoopsync ").strip()
        for name, each in commands(program)
        if any("--json" in parameter.opts for parameter in each.params)
    }
    assert names <= set(SHAPES)
