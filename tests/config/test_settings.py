"""The settings: what each key means, and the defaults without a file."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.config.secrets import Secret
from snoopsync.config.settings import (
    CollectionConfig,
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
from snoopsync.core.addresses import Address
from snoopsync.core.errors import ConfigError
from snoopsync.core.events import Event
from snoopsync.log.formats import LogFormat, LogLevel
from tests.config.helpers import FOLDERS, Home


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
duplicates: {alert: no, max_rank: 0, companions: no, series: no, log: alerts.jsonl}
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
    assert config.duplicates == DuplicatesConfig(False, 0, False, False, home.path / "alerts.jsonl")
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


def test_only_folders_are_required(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home.path / "state"))
    config = home.load(FOLDERS)
    assert config == replace(default_config([home.path / "photos"]), source=home.config)
    assert config.collection.embedded
    assert config.state == home.path / "state/snoopsync/state.sqlite3"
    assert config.folders[0].include is None


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
def test_a_limit_that_is_left_out_does_not_count(
    home: Home, written: str, policy: HoldPolicy | None
) -> None:
    assert home.load(f"{FOLDERS}sync: {{hold_deletes_over: {written}}}").sync == SyncConfig(
        hold_deletes_over=policy
    )


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
def test_a_problem_of_a_folder_has_its_key_and_line(
    home: Home, folder: str, key: str, message: str
) -> None:
    problem = home.problem(f"\nfolders:\n  - {folder}\n")
    assert (problem.key, problem.line) == (key, 3)
    assert message in problem.message


def test_a_service_needs_keys(home: Home) -> None:
    problems = home.problems(f"collection:\n  endpoint: http://host\n{FOLDERS}")
    assert [(problem.key, problem.line) for problem in problems] == [
        ("collection.public_key", 2),
        ("collection.secret_key", 2),
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
