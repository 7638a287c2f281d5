"""The configuration: finding, reading and writing it, its problems and defaults."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.config.file import (
    find_config,
    load_config,
    parse_config,
    service_state_path,
)
from snoopsync.config.secrets import Secret
from snoopsync.config.settings import (
    CollectionConfig,
    Config,
    ControlConfig,
    DuplicatesConfig,
    FolderConfig,
    HoldPolicy,
    LogConfig,
    MetricsConfig,
    NotifyConfig,
    SyncConfig,
    Watch,
    default_config,
    default_name,
    default_owner,
)
from snoopsync.config.template import render_config
from snoopsync.core.addresses import Address
from snoopsync.core.durations import parse_duration
from snoopsync.core.errors import ConfigError, Problem
from snoopsync.core.events import Event
from snoopsync.log.formats import LogFormat, LogLevel
from tests.support.paths import ROOT
from tests.support.process import UNPRIVILEGED, command

EXAMPLE = ROOT / "config.example.yaml"
FOLDERS = "folders: [{path: photos}]\n"


class Home:
    """A directory with a configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"

    def load(self, content: str | bytes) -> Config:
        self.config.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_config(self.config, {})

    def problems(self, content: str | bytes) -> tuple[Problem, ...]:
        with pytest.raises(ConfigError) as caught:
            self.load(content)
        assert caught.value.source == str(self.config)
        return caught.value.problems

    def problem(self, content: str | bytes) -> Problem:
        (problem,) = self.problems(content)
        return problem


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# --- what it says


def test_every_key_is_read(home: Home) -> None:
    (home.path / "secret").write_text("shh")
    (home.path / "secret").chmod(0o600)
    home.config.touch(mode=0o600)
    config = home.load("""
collection:
  endpoint: https://host:8443/api/v1/
  public_key: "24"
  secret_key_file: secret
  owner: studio-nas
  timeout: 2.5
folders:
  - path: /srv/photos
    name: My photos
    include: ["*.jpg", "!x.jpg"]
    exclude: []
    exclude_defaults: false
    prefer: true
    watch: poll
    poll_interval: 1m
sync:
  settle: 50ms
  delete_after: 0
  rescan_interval: 1d
  workers: 64
  hold_deletes_over: {count: 3, percent: 100}
duplicates: {alert: no, max_rank: 0, log: alerts.jsonl}
state: state/x.sqlite3
log: {level: debug, format: journal, file: /var/log/snoopsync.log}
notify: {urls: ["json://host/a", "ntfys://b"], events: [outage, folder-missing]}
control: {group: root}
metrics: {listen: "[::1]:8080"}
""")
    secret = config.collection.secret_key
    assert secret is not None
    assert secret.reveal() == "shh"
    assert replace(config.collection, secret_key=None) == CollectionConfig(
        endpoint="https://host:8443/api/v1",
        public_key="24",
        secret_key_file=home.path / "secret",
        owner="studio-nas",
        timeout_seconds=2.5,
    )
    assert not config.collection.embedded
    photos = FolderConfig(
        "My photos",
        Path("/srv/photos"),
        ("*.jpg", "!x.jpg"),
        (),
        Watch.POLL,
        60.0,
        exclude_defaults=False,
        prefer=True,
    )
    assert config.folders == (photos,)
    assert config.sync == SyncConfig(0.05, 0.0, 86400.0, 64, HoldPolicy(3, 100))
    assert config.duplicates == DuplicatesConfig(False, 0, home.path / "alerts.jsonl")
    assert config.state == home.path / "state/x.sqlite3"
    log_file = Path("/var/log/snoopsync.log")
    assert config.log == LogConfig(LogLevel.DEBUG, LogFormat.JOURNAL, log_file)
    assert config.notify == NotifyConfig(
        (Secret("json://host/a"), Secret("ntfys://b")), None, (Event.OUTAGE, Event.FOLDER_MISSING)
    )
    assert config.control == ControlConfig("root")
    assert config.metrics == MetricsConfig(Address("::1", 8080))
    assert config.source == home.config


def test_notifications_and_metrics_are_off_by_default(home: Home) -> None:
    config = home.load(FOLDERS)
    assert (config.notify, config.metrics) == (None, None)


def test_a_metrics_section_without_a_value_has_its_defaults(home: Home) -> None:
    assert home.load(f"{FOLDERS}metrics:\n").metrics == MetricsConfig()
    assert str(MetricsConfig().listen) == "127.0.0.1:10667"


def test_notification_addresses_can_be_in_a_file(home: Home) -> None:
    urls = home.path / "urls"
    urls.write_text("# mine\n\n json://a \nntfy://b\n")
    urls.chmod(0o600)
    notify = home.load(f"{FOLDERS}notify: {{urls_file: urls}}").notify
    assert notify == NotifyConfig((Secret("json://a"), Secret("ntfy://b")), urls)


def test_only_folders_are_required(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home.path / "state"))
    config = home.load(FOLDERS)
    assert config == replace(default_config([home.path / "photos"]), source=home.config)
    assert config.collection.embedded
    assert config.state == home.path / "state/snoopsync/state.sqlite3"
    assert config.folders[0].include is None


def test_a_key_or_section_without_a_value_has_its_default(home: Home) -> None:
    config = home.load(FOLDERS + "log: {file: }\nsync:\nduplicates: {log: null}\n")
    assert (config.log, config.sync, config.duplicates) == (
        LogConfig(),
        SyncConfig(),
        DuplicatesConfig(),
    )


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


def test_a_folder_that_is_a_symbolic_link_keeps_its_own_name(home: Home) -> None:
    (home.path / "target").mkdir()
    (home.path / "photos").symlink_to("target")
    (folder,) = home.load(FOLDERS).folders
    assert (folder.name, folder.path) == ("photos", home.path / "photos")


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("never", None),
        ("{count: 7}", HoldPolicy(7, 0)),
        ("{percent: 20}", HoldPolicy(0, 20)),
    ],
)
def test_hold_deletes_over(home: Home, written: str, policy: HoldPolicy | None) -> None:
    """A limit that is left out does not count."""
    assert home.load(f"{FOLDERS}sync: {{hold_deletes_over: {written}}}").sync == SyncConfig(
        hold_deletes_over=policy
    )


def test_anchors_and_aliases_are_fine(home: Home) -> None:
    one, two = home.load(
        "folders:\n- {path: a, exclude: &no [x/]}\n- {path: b, exclude: *no}"
    ).folders
    assert one.exclude == two.exclude == ("x/",)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("9ms", 0.009), ("5s", 5), ("15m", 900), ("2h", 7200), ("1d", 86400),
     ("30", 30), ("0.25", 0.25), ("1.5h", 5400)],
)  # fmt: skip
def test_durations(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "s", "5 minutes", "-1s", "1:30", ".inf", "1e3", "٣s", "5S"]
)
def test_invalid_durations(written: str) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(written)


# --- what is wrong with it


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
        ("control: {group: no such group}", "control.group", 2, "not the name of a group"),
        ('control: {group: "a\\0b"}', "control.group", 2, "not the name of a group"),
        ("control: {group: 5}", "control.group", 2, "put it in quotes"),
        ("control: {user: root}", "control.user", 2, "the keys are group"),
        ("metrics: {listen: 9100}", "metrics.listen", 2, "put it in quotes"),
        ("metrics: {listen: localhost}", "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: localhost:0}", "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: localhost:65536}", "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: localhost:x}", "metrics.listen", 2, "must be HOST:PORT"),
        ('metrics: {listen: ":9100"}', "metrics.listen", 2, "must be HOST:PORT"),
        ('metrics: {listen: "::1:9100"}', "metrics.listen", 2, "must be HOST:PORT"),
        ('metrics: {listen: "[::x]:9100"}', "metrics.listen", 2, "must be HOST:PORT"),
        ("metrics: {listen: http://host:9100}", "metrics.listen", 2, "must be HOST:PORT"),
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
    ("folder", "key", "message"),
    [
        ("{}", "folders[0]", "has no path"),
        ("{name: a}", "folders[0]", "has no path"),
        ("photos", "folders[0]", "must be a mapping of keys, not text"),
        ("{path: 5}", "folders[0].path", "put it in quotes"),
        ("{path: }", "folders[0].path", "must be text, not nothing"),
        ("{path: /}", "folders[0]", "needs a name"),
        ("{path: a, name: no}", "folders[0].name", "YAML reads it as true or false"),
        ("{path: a, name: 2024}", "folders[0].name", "YAML reads it as a whole number"),
        ("{path: a, name: 2024-01-01}", "folders[0].name", "YAML reads it as a date"),
        ("{path: a, name: a/b}", "folders[0].name", "no slash or control character"),
        ('{path: a, name: "a\\nb"}', "folders[0].name", "no slash or control character"),
        (f"{{path: a, name: {'n' * 256}}}", "folders[0].name", "1 to 255 characters"),
        ("{path: a, watch: event}", "folders[0].watch", "one of auto, events, poll"),
        ("{path: a, poll_interval: 999ms}", "folders[0].poll_interval", "from 1s"),
        ('{path: a, include: "*.jpg"}', "folders[0].include", "must be a list, not text"),
        ("{path: a, include: []}", "folders[0].include", "no image would be mirrored"),
        (
            '{path: a, include: [a, b, "!"]}',
            "folders[0].include[2]",
            "not a valid gitignore pattern",
        ),
        ("{path: a, exclude: [[a]]}", "folders[0].exclude[0]", "must be text, not a list"),
        ('{path: a, exclude: ["#x"]}', "folders[0].exclude[0]", "comment"),
    ],
)
def test_a_folder_with_a_problem(home: Home, folder: str, key: str, message: str) -> None:
    problem = home.problem(f"\nfolders:\n  - {folder}\n")
    assert (problem.key, problem.line) == (key, 3)
    assert message in problem.message


@pytest.mark.parametrize(
    "endpoint",
    ["Embedded", "host/api", "ftp://host", "https://", "https:///api", "http://host:x/", "http://[::1",
     "http://host:0/", "http://host:99999/", "https://u:p@host/", "https://u@host", "https://host/?a=b",
     "https://host/#a", "https://host/a b", "https://host/\n", "https://host/api?"],
)  # fmt: skip
def test_invalid_endpoints(home: Home, endpoint: str) -> None:
    """The keys are not reported: whether they are needed depends on the endpoint."""
    section = json.dumps({"endpoint": endpoint, "public_key": "a"})
    problem = home.problem(f"{FOLDERS}collection: {section}")
    assert (problem.key, problem.line) == ("collection.endpoint", 2)
    assert 'must be "embedded" or a URL' in problem.message


def test_a_service_needs_keys(home: Home) -> None:
    problems = home.problems(f"collection:\n  endpoint: http://host\n{FOLDERS}")
    assert [(problem.key, problem.line) for problem in problems] == [
        ("collection.public_key", 2),
        ("collection.secret_key", 2),
    ]


def test_valid_parts_of_an_invalid_configuration_are_read(home: Home) -> None:
    home.config.write_text("sync: {workers: many, settle: 1s}\nfolders: [{path: a}, {name: b}]\n")
    parsed = parse_config(home.config, {})
    assert [problem.key for problem in parsed.problems] == ["sync.workers", "folders[1]"]
    assert parsed.config.sync == SyncConfig(settle_seconds=1.0)
    assert [folder.path for folder in parsed.config.folders] == [home.path / "a"]


def test_the_source_of_the_secret_key_is_named(home: Home) -> None:
    service = f"{FOLDERS}collection: {{endpoint: https://host, public_key: a, secret_key: b}}\n"
    home.config.write_text(service)
    home.config.chmod(0o600)
    assert parse_config(home.config, {}).secret_from == "collection.secret_key"
    environ = {"SNOOPSYNC_SECRET_KEY": "c"}
    assert parse_config(home.config, environ).secret_from == "$SNOOPSYNC_SECRET_KEY"
    home.config.chmod(0o640)
    [problem] = parse_config(home.config, environ).problems
    assert problem.fix == f"chmod 600 {home.config}"
    assert str(problem).endswith(f": others can read {home.config}: {problem.fix}")


def test_all_problems_are_reported_in_the_files_order(home: Home) -> None:
    problems = home.problems(
        "sync: {settle: 1, settle: 2, workers: many}\n"
        "log:\n  lvel: info\n  format: xml\n"
        "folders:\n"
        "  - path: /srv/a\n    watch: never\n"
        "  - path: /srv/b/../a/b\n    name: a\n"
        "  - name: c\n"
        "state: 7\n"
        "extra: 1\n"
    )
    assert [(problem.line, problem.key) for problem in problems] == [
        (1, "sync.settle"),
        (1, "sync.workers"),
        (3, "log.lvel"),
        (4, "log.format"),
        (7, "folders[0].watch"),
        (8, "folders[1].path"),
        (9, "folders[1].name"),
        (10, "folders[2]"),
        (11, "state"),
        (12, "extra"),
    ]


@pytest.mark.parametrize("content", ["sync: {}", "folders:", "folders: []", "folders: {path: a}"])
def test_folders_are_required(home: Home, content: str) -> None:
    assert home.problem(content).key == "folders"


def test_folder_names_are_unique(home: Home) -> None:
    problem = home.problem("folders:\n- path: /a/photos\n- path: /b/photos\n")
    assert (problem.key, problem.line) == ("folders[1].name", 3)
    assert "the name of folders[0]" in problem.message


def test_no_folder_is_inside_another(home: Home) -> None:
    (home.path / "photos/2024").mkdir(parents=True)
    (home.path / "link").symlink_to("photos/2024")
    (home.path / "same").symlink_to("photos")
    problems = home.problems("folders:\n- path: link\n- path: photos\n- path: same\n- path: ph\n")
    assert [(problem.key, problem.line) for problem in problems] == [
        ("folders[0].path", 2),
        ("folders[2].path", 4),
    ]
    assert "is inside folders[1]" in problems[0].message
    assert "the same folder as folders[1]" in problems[1].message


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", None, "is empty"),
        ("# nothing\n---\n", 3, "must be a mapping with keys"),
        ("- a", 1, "must be a mapping with keys such as folders:, not a list"),
        ("a: b\nc: [d", 2, "is not YAML"),
        ("a: b\n\tc: d", 2, "cannot start any token"),
        ("a: 1\n---\nb: 1\n", 2, "is not YAML"),
        ("a: *nowhere", 1, "is not YAML: found undefined alias"),
        (b"a: 1\nb: caf\xe9\n", 2, "is not UTF-8"),
        ("a: é\nb: \x07\n", 2, "contains a control character"),
        ("[" * 5000, None, "is nested too deeply"),
        ("#" * (1 << 20) + "\n", None, "is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_not_a_configuration(
    home: Home, content: str | bytes, line: int | None, message: str
) -> None:
    problem = home.problem(content)
    assert (problem.key, problem.line) == ("file", line)
    assert message in problem.message


def test_aliases_of_aliases_take_no_time(home: Home) -> None:
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert len(home.problems("\n".join(["a0: &a0 [x]", *rows, "folders: *a29"]))) > 30


def test_a_value_that_contains_itself(home: Home) -> None:
    problems = home.problems("folders: &f\n- path: a\n  exclude: *f\n- *f\n")
    assert {problem.key for problem in problems} == {
        "folders[0].exclude[0]",
        "folders[0].exclude[1]",
        "folders[1]",
    }


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"file: can't be read: {reason}"):
        load_config(tmp_path / name, {})


# --- where it is


def test_the_order_of_places_for_the_configuration(tmp_path: Path) -> None:
    explicit, variable, system = (tmp_path / name for name in ("explicit", "variable", "system"))
    user_dir = tmp_path / "user"
    user_dir.mkdir()
    user = user_dir / "config.yaml"
    for path in (explicit, variable, user, system):
        path.touch()
    environ = {"SNOOPSYNC_CONFIG": str(variable)}

    def find(explicit: Path | None, environ: dict[str, str]) -> Path | None:
        return find_config(explicit, environ, user_dir=user_dir, system_path=system)

    assert find(explicit, environ) == explicit
    assert find(None, environ) == variable
    assert find(None, {}) == find(None, {"SNOOPSYNC_CONFIG": ""}) == user
    user.unlink()
    assert find(None, {}) == system
    system.unlink()
    assert find(None, {}) is None


def test_a_named_configuration_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConfigError, match="missing: --config: file not found"):
        find_config(missing, {}, user_dir=tmp_path, system_path=missing)
    with pytest.raises(ConfigError, match=r"missing: \$SNOOPSYNC_CONFIG: file not found"):
        find_config(None, {"SNOOPSYNC_CONFIG": str(missing)}, user_dir=tmp_path)


def test_a_configuration_in_an_unreadable_directory_is_not_missing(
    tmp_path: Path,
) -> None:
    """The error names the reason."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "config.yaml").touch()
    closed.chmod(0)
    done = subprocess.run(
        [*UNPRIVILEGED, *command("status")],
        env={**os.environ, "SNOOPSYNC_CONFIG": str(closed / "config.yaml")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 78
    assert "config.yaml: file: can't be read: Permission denied" in done.stderr


def test_the_users_configuration_is_in_the_users_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "snoopsync/config.yaml"
    path.parent.mkdir()
    path.touch()
    assert find_config(None, {}) == path


# --- where the state is


def test_the_state_of_a_service_is_in_its_systemd_directory(home: Home) -> None:
    environ = {"STATE_DIRECTORY": f"{home.path}/first:{home.path}/second"}
    home.config.write_text(FOLDERS)
    assert load_config(home.config, environ).state == home.path / "first/state.sqlite3"
    home.config.write_text(FOLDERS + "state: x.sqlite3\n")
    assert load_config(home.config, environ).state == home.path / "x.sqlite3"


def test_commands_find_the_state_of_the_systems_service(
    tmp_path: Path,
) -> None:
    system, own, directory = (tmp_path / name for name in ("system", "own", "lib"))

    def state(source: Path) -> Path | None:
        return service_state_path(source, {}, system_path=system, system_directory=directory)

    assert state(system) is None
    directory.symlink_to("private/of-its-own-user")  # as systemd has it, closed to others
    assert state(system) == tmp_path / "private/of-its-own-user/state.sqlite3"
    assert state(own) is None


# --- without a file


def test_the_default_configuration_has_the_given_folders() -> None:
    config = default_config([Path("/srv/a"), Path("/srv/b")])
    assert [(folder.name, folder.path) for folder in config.folders] == [
        ("a", Path("/srv/a")),
        ("b", Path("/srv/b")),
    ]
    assert config.collection.embedded
    assert config.source is None


def test_a_folder_given_as_a_dot_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos/2024").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "photos")
    assert default_config([Path()]).folders[0].name == "photos"
    monkeypatch.chdir("2024")
    assert default_config([Path("..")]).folders[0].name == "photos"


def test_the_name_of_a_folder_does_not_depend_on_the_order_of_the_folders() -> None:
    paths = [Path("/a/photos"), Path("/b/photos"), Path("/c/other")]
    names = {folder.path: folder.name for folder in default_config(paths).folders}
    again = {folder.path: folder.name for folder in default_config(paths[::-1]).folders}
    assert names == again
    assert len(set(names.values())) == 3
    assert names[paths[2]] == "other"
    assert re.fullmatch("photos-[0-9a-f]{8}", names[paths[0]])


def test_a_folder_given_twice_is_one_folder() -> None:
    assert [folder.name for folder in default_config([Path("/a/b"), Path("/a/b/")]).folders] == [
        "b"
    ]


def test_given_folders_must_not_contain_each_other() -> None:
    with pytest.raises(ConfigError, match="command line: /a/b: is inside /a"):
        default_config([Path("/a"), Path("/a/b")])
    with pytest.raises(ConfigError, match="command line: /: needs a name"):
        default_config([Path("/")])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/srv/My Photos", "My Photos"),
        ("/srv/Fotos ❤".encode(), "Fotos ❤"),
        (b"/srv/caf\xe9", "caf\\udce9"),
        (b"/srv/a\nb", "a\\nb"),
    ],
)
def test_the_default_name_is_the_last_part_and_valid(path: bytes, name: str) -> None:
    assert default_name(Path(os.fsdecode(path))) == name
    assert name.encode()


@pytest.mark.parametrize(
    ("host", "owner"),
    [
        ("studio-nas", "studio-nas"),
        ("Studio_NAS.local.example", "studio-nas"),
        ("Müller's Mac", "m-ller-s-mac"),
        ("--", "snoopsync"),
        ("", "snoopsync"),
        ("a" * 40, "a" * 32),
    ],
)
def test_the_default_owner_is_made_from_the_host_name(host: str, owner: str) -> None:
    assert default_owner(host) == owner


# --- the example, and the file that is written


def keys_of(cls: type, prefix: str = "") -> set[str]:
    """Every key in the schema of a section."""
    return {prefix + field.metadata["key"] for field in fields(cls) if field.metadata}


def keys_in(section: Any, prefix: str = "") -> set[str]:
    """Every key in YAML. Keys of a list's items count as keys of the list."""
    if isinstance(section, list):
        return {name for item in section for name in keys_in(item, prefix)}
    if not isinstance(section, dict):
        return set()
    names = {prefix + key for key in section}
    return names.union(*(keys_in(value, f"{prefix}{key}.") for key, value in section.items()))


def test_the_example_has_every_key_and_no_other() -> None:
    everything = re.sub(r"(?m)^( *)#(\w)", r"\1\2", EXAMPLE.read_text())
    assert keys_in(yaml.safe_load(everything)) == (
        keys_of(Config)
        | keys_of(CollectionConfig, "collection.")
        | keys_of(FolderConfig, "folders.")
        | keys_of(SyncConfig, "sync.")
        | keys_of(HoldPolicy, "sync.hold_deletes_over.")
        | keys_of(DuplicatesConfig, "duplicates.")
        | keys_of(LogConfig, "log.")
        | keys_of(ControlConfig, "control.")
        | keys_of(NotifyConfig, "notify.")
        | keys_of(MetricsConfig, "metrics.")
    )


def test_the_example_has_the_defaults() -> None:
    expected = default_config([Path("/srv/photos")])
    expected = replace(expected, collection=CollectionConfig(owner="studio-nas"), source=EXAMPLE)
    assert load_config(EXAMPLE, {}) == expected


def test_every_key_of_the_example_has_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    sections = {"collection:", "folders:", "sync:", "duplicates:", "log:", "- path: /srv/photos"}
    for above, line in pairwise(lines):
        if re.match(r" *#?[a-z_]+:", line) and line not in sections:
            assert above.lstrip().startswith("#"), line


def test_the_example_is_what_init_writes() -> None:
    assert EXAMPLE.read_text() == render_config([Path("/srv/photos")], owner="studio-nas")


def test_a_written_configuration_for_a_service(home: Home) -> None:
    secret = home.path / "a: secret #1"
    secret.write_text("x")
    secret.chmod(0o600)
    text = render_config([home.path / "a"], "https://host/api/v1", "24", "nas", secret)
    home.config.write_text(text)
    collection = load_config(home.config, {}).collection
    assert (collection.endpoint, collection.public_key) == ("https://host/api/v1", "24")
    assert (collection.owner, collection.secret_key_file) == ("nas", secret)


def test_a_written_configuration_contains_the_owner(home: Home) -> None:
    text = render_config([home.path / "a"])
    assert yaml.safe_load(text)["collection"]["owner"] == default_owner()


characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
awkward = st.sampled_from(" \t\n\r\x85\u2028\ufeff:#'\"-?*&!|>%@`{}[],$\\")
names = st.text(characters | awkward, min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(names, min_size=1, max_size=3, unique=True))
def test_written_folders_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    expected = default_config([Path("/srv", name) for name in names]).folders
    home = Home(tmp_path_factory.mktemp("home"))
    assert home.load(render_config([folder.path for folder in expected])).folders == expected


@pytest.mark.parametrize("name", [b"caf\xe9", b"\n", b"a\xc2\x85b", b" ", b"- a: #", b"~", b"no"])
def test_written_odd_folders_are_read_back(home: Home, name: bytes) -> None:
    folder = Path("/srv", os.fsdecode(name))
    assert home.load(render_config([folder])).folders == default_config([folder]).folders


def test_an_environment_variable_that_names_an_unknown_home_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="SNOOPSYNC_CONFIG: begins with ~, but that home"):
        find_config(None, {"SNOOPSYNC_CONFIG": "~nosuchuser/config.yaml"})
