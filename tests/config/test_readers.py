"""The readers: the values that each accepts, and the reason why it refuses others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.config.helpers import FOLDERS, Home


def test_paths_are_relative_to_the_configuration_or_home(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir("/")
    paths = [
        folder.path
        for folder in home.load(
            "folders: [{path: a}, {path: ~/b}, {path: ../c}, {path: /d}]"
        ).folders
    ]
    expected = [home.path / "a", Path("/home/me/b"), home.path.parent / "c", Path("/d")]
    assert paths == expected


@pytest.mark.parametrize(
    ("content", "key", "line", "message"),
    [
        ("sync: {setle: 1s}", "sync.setle", 2, 'unknown key; did you mean "settle"?'),
        ("colection: {}", "colection", 2, 'did you mean "collection"?'),
        ("zzz: 1", "zzz", 2, "the keys are collection, folders"),
        ("sync: {settle 1s}", "sync", 2, "a key is one word"),
        ("? [a]\n: b", "file", 2, "a key is one word"),
        ("sync:\n  workers: 1\n  workers: 2", "sync.workers", 4, "given twice"),
        ("log: []", "log", 2, "must be a mapping of keys, not a list"),
        ("sync: fast", "sync", 2, "must be a mapping of keys, not text"),
        ("sync: {settle: 49ms}", "sync.settle", 2, "must be from 50ms to 365d"),
        ("sync: {settle: 500d}", "sync.settle", 2, "must be from 50ms to 365d"),
        ("sync: {settle: soon}", "sync.settle", 2, "must be a duration"),
        ("sync: {settle: yes}", "sync.settle", 2, "must be a duration"),
        ("sync: {settle: [1s]}", "sync.settle", 2, "must be a duration"),
        ("sync: {settle: }", "sync.settle", 2, "must be a duration"),
        ("sync: {delete_after: -1}", "sync.delete_after", 2, "must be a duration"),
        ("sync: {rescan_interval: 9s}", "sync.rescan_interval", 2, "must be from 10s"),
        ("collection: {timeout: 0}", "collection.timeout", 2, "must be from 1ms"),
        ("sync: {workers: 0}", "sync.workers", 2, "a whole number from 1 to 64"),
        ("sync: {workers: 65}", "sync.workers", 2, "a whole number from 1 to 64"),
        ("sync: {workers: 2.0}", "sync.workers", 2, "a whole number from 1 to 64"),
        ('sync: {workers: "4"}', "sync.workers", 2, "a whole number from 1 to 64"),
        ("sync: {workers: 0:30}", "sync.workers", 2, "a whole number from 1 to 64"),
        ("sync: {workers: 010}", "sync.workers", 2, "a whole number from 1 to 64"),
        (f"sync: {{workers: {'9' * 5000}}}", "sync.workers", 2, "a whole number from 1 to 64"),
        ("sync: {hold_deletes_over: 5}", "sync.hold_deletes_over", 2, 'must be "never" or {count'),
        ("sync: {hold_deletes_over: {}}", "sync.hold_deletes_over", 2, 'must be "never" or {count'),
        ("sync: {hold_deletes_over: {count: -1}}", "sync.hold_deletes_over.count", 2, "from 0"),
        ("duplicates: {max_rank: 257}", "duplicates.max_rank", 2, "from 0 to 256"),
        ("duplicates: {max_rank: -1}", "duplicates.max_rank", 2, "from 0 to 256"),
        ('duplicates: {alert: "yes"}', "duplicates.alert", 2, "must be true or false"),
        ("duplicates: {alert: !!bool maybe}", "duplicates.alert", 2, "must be true or false"),
        ("log: {level: loud}", "log.level", 2, "one of debug, info, warning, error"),
        ("log: {level: no}", "log.level", 2, "one of debug, info, warning, error"),
        ("log: {format: [json]}", "log.format", 2, "one of auto, text, json, journal"),
        ("log: {file: 5}", "log.file", 2, "YAML reads it as a whole number: put it in quotes"),
        ('log: {file: ""}', "log.file", 2, "is empty"),
        ("state: ", "state", 2, "must be text, not nothing"),
        ('state: "a\\0b"', "state", 2, "a character that is not allowed in a path"),
        ('state: "a\\ud800b"', "state", 2, "a character that is not allowed in a path"),
        ("state: ~nobody-of-this-name/x", "state", 2, "that home directory does not exist"),
        ("state: !!python/object:os.system x", "state", 2, "YAML reads it as a custom type"),
        ("notify:", "notify.urls", 2, "is missing: set urls, urls_file or"),
        ("notify: {events: [outage]}", "notify.urls", 2, "is missing"),
        ("notify: json://a", "notify", 2, "must be a mapping"),
        ("notify: {urls: [a], event: b}", "notify.event", 2, 'did you mean "events"?'),
        ("notify: {urls: []}", "notify.urls", 2, "is empty"),
        ("notify: {urls: json://a}", "notify.urls", 2, "must be a list, not text"),
        ("notify: {urls: [5]}", "notify.urls[0]", 2, "put it in quotes"),
        ("notify: {urls: [a b]}", "notify.urls[0]", 2, "must be one word"),
        ("notify: {urls: [a], urls_file: b}", "notify.urls_file", 2, "conflicts with urls"),
        ("notify: {urls_file: none}", "notify.urls_file", 2, "can't be read: No such file"),
        ("notify: {urls: [a], events: []}", "notify.events", 2, "is empty"),
        ("notify: {urls: [a], events: [all]}", "notify.events[0]", 2, "one of started, stopped"),
        ("metrics: {listen: 9100}", "metrics.listen", 2, "put it in quotes"),
        ("metrics: {listen: localhost}", "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: localhost:0}", "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: localhost:65536}", "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: localhost:x}", "metrics.listen", 2, "must be HOST:PORT"),
        ('metrics: {listen: ":9100"}', "metrics.listen", 2, "must be HOST:PORT"),
        ('metrics: {listen: "::1:9100"}', "metrics.listen", 2, "must be HOST:PORT"),
        ('metrics: {listen: "[::x]:9100"}', "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: http://host:9100}", "metrics.listen", 2, "must be HOST:PORT"),
        ("control: {group: no such group}", "control.group", 2, "not the name of a group"),
        ('control: {group: "a\\0b"}', "control.group", 2, "not the name of a group"),
        ("control: {group: 5}", "control.group", 2, "put it in quotes"),
        ("control: {user: root}", "control.user", 2, "the keys are group"),
        ("metrics: {port: 9100}", "metrics.port", 2, "the keys are listen"),
        ("collection: {owner: NAS}", "collection.owner", 2, "1 to 32 characters"),
        ('collection: {owner: "nas\\n"}', "collection.owner", 2, "1 to 32 characters"),
        ("collection: {public_key: abc}", "collection.public_key", 2, "the endpoint is embedded"),
        ("collection: {secret_key_file: x}", "collection.secret_key_file", 2, "is embedded"),
    ],
)  # fmt: skip
def test_a_problem_has_its_key_and_line(
    home: Home, content: str, key: str, line: int, message: str
) -> None:
    home.config.touch(mode=0o600)
    problem = home.problem(f"{FOLDERS}{content}\n")
    assert (problem.key, problem.line) == (key, line)
    assert message in problem.message


@pytest.mark.parametrize(
    "endpoint",
    ["Embedded", "host/api", "ftp://host", "https://", "https:///api", "http://host:x/", "http://[::1",
     "http://host:0/", "http://host:99999/", "https://u:p@host/", "https://u@host", "https://host/?a=b",
     "https://host/#a", "https://host/a b", "https://host/\n", "https://host/api?"],
)  # fmt: skip
def test_an_invalid_endpoint_is_refused_with_its_key_and_line(home: Home, endpoint: str) -> None:
    """The keys are not reported: whether they are needed depends on the endpoint."""
    section = json.dumps({"endpoint": endpoint, "public_key": "a"})
    problem = home.problem(f"{FOLDERS}collection: {section}")
    assert (problem.key, problem.line) == ("collection.endpoint", 2)
    assert 'must be "embedded" or a URL' in problem.message
