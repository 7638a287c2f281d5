"""Any input on the service's socket gets a response, and the service keeps running."""

from __future__ import annotations

import json
import math
import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snoopsync.control.channel import socket_path
from snoopsync.control.commands import validate_command
from snoopsync.core.errors import SnoopsyncError
from snoopsync.watching.watcher import Watcher
from tests.support.serving import serving
from tests.support.world import World

MALFORMED = [
    {},
    {"folders": 5},
    {"command": None},
    {"command": ["resync"]},
    {"command": {"resync": 1}},
    {"command": "nonsense"},
    {"command": "resync", "folders": 5},
    {"command": "resync", "folders": [["a"]]},
    {"command": "resync", "folders": {"a": 1}},
    {"command": "resync", "prune": "yes"},
    {"command": "resync", "patience_seconds": "1"},
    {"command": "resync", "patience_seconds": -1},
    {"command": "resync", "patience_seconds": 1e300},
    {"command": "resync", "patience_seconds": math.inf},
    {"command": "resync", "patience_seconds": math.nan},
    {"command": "resync", "patience_seconds": 10**400},
    {"command": "resync", "dry_run": True},
    {"command": "approve", "folder": 5},
    {"command": "approve", "folder": ["a"]},
    {"command": "approve", "discard": "yes"},
    {"command": "dismiss"},
    {"command": "dismiss", "decisions": {}},
    {"command": "dismiss", "decisions": [{"members": []}]},
    {"command": "dismiss", "decisions": [{"members": [["a"]], "group": 1}]},
    {"command": "dismiss", "decisions": [{"members": [["\ud800", "00"]], "group": 1}]},
    {"command": "dismiss", "decisions": [{"members": [["a", "0G"]], "group": 1}]},
    {"command": "dismiss", "decisions": [{"members": [["a", "00"]], "group": True}]},
    {"command": "restore"},
    {"command": "restore", "members": [["a", 1]]},
    {"command": "restore", "members": [["a", "00"]], "group": "1"},
    {"command": "restore_all", "decisions": [[]]},
    {"command": "approve_moved"},
    {"command": "approve_moved", "members": ["a"]},
    {"command": "withdraw_moved", "members": [["a", "xyz"]]},
    {"command": "groups"},
    {"command": "groups", "count": 0},
    {"command": "groups", "count": 501},
    {"command": "groups", "count": True},
    {"command": "groups", "count": 1, "after": "1"},
    {"command": "groups", "count": 1, "after": "nan:1"},
    {"command": "groups", "count": 1, "after": "1e999:1"},
    {"command": "groups", "count": 1, "after": "1:-1"},
    {"command": "groups", "count": 1, "sort": "name"},
    {"command": "groups", "count": 1, "hidden": [[1]]},
    {"command": "groups", "count": 1, "hidden": [[1, math.nan]]},
    {"command": "groups", "count": 1, "only": {"1": 2}},
    {"command": "groups", "count": 1, "members": "yes"},
    {"command": "groups_named"},
    {"command": "groups_named", "ids": ["1"]},
    {"command": "groups_named", "ids": [1 << 70]},
    {"command": "dismissed_groups", "count": "1"},
    {"command": "dismissed_groups", "count": 1, "ids": [None]},
    {"command": "images"},
    {"command": "images", "ids": ["\ud800"]},
    {"command": "images", "ids": [], "dismissed_since": math.nan},
    {"command": "pictures", "ids": [5]},
    {"command": "images_at", "paths": [["photos", "no hex"]]},
    {"command": "images_at"},
    {"command": "state_version", "since": 1},
]


def respond(world: World, line: bytes) -> list[object]:
    """The service's response to these bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20.0)
        connection.connect(str(socket_path(world.state_path)))
        connection.sendall(line + b"\n")
        return [json.loads(each) for each in connection.makefile("rb")]


def test_a_malformed_command_gets_an_error_and_the_service_keeps_running(
    world: World, watcher: Watcher
) -> None:
    with serving(world, watcher):
        for command in MALFORMED:
            *_, last = respond(world, json.dumps(command).encode())
            assert isinstance(last, dict), command
            assert last.get("error"), (command, last)
        [answer] = respond(world, b'{"command": "status"}')
        assert isinstance(answer, dict)
        assert answer["result"]["reachable"] is True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["folders", "prune", "patience_seconds", "decisions", "members", "group"])
COMMANDS = st.sampled_from(["status", "resync", "approve", "dismiss", "restore"]) | JSON


@given(st.dictionaries(KEYS | st.text(), JSON, max_size=4), COMMANDS)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_command_is_valid_or_refused(command: dict[str, object], name: object) -> None:
    command["command"] = name
    try:
        validate_command(command)
    except SnoopsyncError as error:
        assert str(error).isprintable()
        return
    assert command["command"] in ("status", "resync", "approve", "dismiss", "restore")
    assert all(isinstance(each, str) for each in command.get("folders", ()))  # type: ignore[attr-defined]
