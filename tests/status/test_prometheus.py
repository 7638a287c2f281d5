"""Metrics and health, asked for over real sockets, of a service that is well and of one that is
not."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from snoopsync.config.settings import Watch
from snoopsync.control.channel import socket_path
from snoopsync.control.report import ServiceView
from snoopsync.core.addresses import Address
from snoopsync.embedded import open_embedded
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.runtime.counters import Counters
from snoopsync.status.prometheus import MetricsServer
from snoopsync.status.snapshot import SnapshotReader
from snoopsync.sync.components import Dependencies
from snoopsync.version import __version__
from tests.runtime.test_systemd import manager
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.documentation import PAGES, section
from tests.support.faults import answers
from tests.support.paths import ROOT
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation, until
from tests.support.prometheus import assert_conventional
from tests.support.serving import serving
from tests.support.world import ServedWorld, ToldWatcher, World, fake_picture

pytestmark = pytest.mark.integration

LOOPBACK = "127.0.0.1"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_port(host: str = LOOPBACK) -> int:
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks a service how it is."""

    port: int

    def get(self, path: str) -> tuple[int, str]:
        """The status and the body."""
        try:
            with urllib.request.urlopen(
                f"http://{LOOPBACK}:{self.port}{path}", timeout=20
            ) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def health(self) -> tuple[int, str]:
        return self.get("/healthz")

    def is_well(self) -> bool:
        return self.health()[0] == 200

    def scrape(self) -> Samples:
        """Every value, as Prometheus reads it."""
        status, text = self.get("/metrics")
        assert status == 200
        families = list(text_string_to_metric_families(text))
        names = [family.name for family in families]
        assert len(names) == len(set(names))
        assert all(family.documentation and family.type != "unknown" for family in families)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        return self.scrape().get((f"snoopsync_{name}", frozenset(labels.items())))

    def listens(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((LOOPBACK, self.port)) == 0


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    for number in range(3):
        (home.pictures / f"{number}.jpg").write_bytes(encode(photo(number)))
    return home


def listening(port: int, host: str = LOOPBACK) -> str:
    return f"metrics: {{listen: '{Address(host, port)}'}}\n"


@pytest.fixture
def asker() -> Asker:
    return Asker(free_port())


# A scrape.


def test_a_scrape_has_counters_and_the_snapshot(home: Installation, asker: Asker) -> None:
    (home.pictures / "copy.jpg").write_bytes(encode(photo(1)))
    (home.pictures / "empty.jpg").write_bytes(b"")
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running():
        until(lambda: asker.value("duplicates_open") == 1)
        until(lambda: asker.value("images", folder="pictures", state="synced") == 4)
        assert asker.value("build_info", version=__version__) == 1
        assert asker.value("images", folder="pictures", state="failed") == 1
        assert asker.value("images", folder="pictures", state="held") == 0
        assert asker.value("folder_state", folder="pictures", state="ok") == 1
        assert asker.value("folder_state", folder="pictures", state="missing") == 0
        assert asker.value("requests_total", call="add", outcome="ok") == 4
        assert asker.value("request_duration_seconds_count", call="add") == 4
        assert asker.value("request_duration_seconds_bucket", call="add", le="+Inf") == 4
        assert asker.value("duplicates_found_total") == 1
        assert asker.value("collection_reachable") == 1
        assert asker.value("collection_authorized") == 1
        assert asker.value("healthy") == 1
        assert asker.value("images_in_flight") == asker.value("queued_images") == 0
        scanned = asker.value("folder_last_scan_timestamp_seconds", folder="pictures")
        assert scanned is not None
        assert time.time() - 60 < scanned < time.time()
        assert asker.value("folder_last_success_timestamp_seconds", folder="pictures") == 0, (
            "one image has failed"
        )
        (home.pictures / "empty.jpg").unlink()
        until(lambda: asker.value("folder_last_success_timestamp_seconds", folder="pictures"), 30.0)


def test_names_follow_the_conventions_of_prometheus(home: Installation, asker: Asker) -> None:
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running():
        _, text = asker.get("/metrics")
    families = [
        family
        for family in text_string_to_metric_families(text)
        if family.name.startswith("snoopsync_")
    ]
    assert_conventional(families)


def test_requests_to_a_service_are_counted_with_retries_and_bytes(
    home: Installation, asker: Asker, tmp_path: Path
) -> None:
    with (
        closing(open_embedded(tmp_path / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
    ):
        server.fault_for = lambda seen: answers(500) if len(server.requests) == 3 else None
        home.configure_service(server.endpoint, PUBLIC_KEY, QUICK_SYNC + listening(asker.port))
        home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        with home.running():
            until(lambda: asker.value("images", folder="pictures", state="synced") == 3)
            size = sum(path.stat().st_size for path in home.pictures.iterdir())
            assert (asker.value("sent_bytes_total") or 0) >= size
            retries = [
                value for (name, _), value in asker.scrape().items()
                if name == "snoopsync_request_retries_total"
            ]  # fmt: skip
            assert sum(retries) == 1
            server.fault_for = lambda seen: answers(503)
            (home.pictures / "new.jpg").write_bytes(encode(photo(9)))
            until(lambda: asker.value("collection_reachable") == 0)
            status, said = asker.health()
            assert (status, "waiting for the collection" in said) == (200, True)
            server.fault_for = lambda seen: answers(401)
            until(lambda: asker.value("collection_authorized") == 0)
            status, said = asker.health()
            assert (status, said) == (503, "the collection: 401 Unauthorized\n")


# Health.


def test_a_working_service_is_healthy(home: Installation, asker: Asker) -> None:
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running():
        until(lambda: asker.health() == (200, "watching, everything is sent\n"))


def test_a_missing_folder_is_reported(home: Installation, asker: Asker) -> None:
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running():
        aside = home.pictures.rename(home.home / "aside")
        until(lambda: not asker.is_well())
        until(lambda: "No such file or directory" in asker.health()[1])
        assert asker.health()[1].startswith("folder pictures is missing: ")
        assert asker.value("healthy") == 0
        aside.rename(home.pictures)
        until(asker.is_well)


def test_held_deletions_are_reported_with_the_command(home: Installation, asker: Asker) -> None:
    sync = "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 0, percent: 0}}\n"
    home.configure(sync + listening(asker.port))
    with home.running():
        (home.pictures / "0.jpg").unlink()
        until(lambda: "snoopsync approve pictures" in asker.health()[1])
        assert asker.health()[0] == 503
        assert asker.value("images", folder="pictures", state="held") == 1
        home.ok("approve")
        until(asker.is_well)


class Hanging(Disk):
    """A disk that hangs once it is told to, until the test is over."""

    def __init__(self) -> None:
        self.begin = threading.Event()
        self.end = threading.Event()

    def lstat(self, root: OpenFolder, path: bytes) -> stat_result:
        if self.begin.is_set():
            self.end.wait()
        return super().lstat(root, path)


@contextmanager
def asked(live: Any, world: World) -> Iterator[Asker]:
    snapshot_reader = SnapshotReader(world.config, live)
    with closing(MetricsServer(Address(LOOPBACK, 0), snapshot_reader, Counters())) as server:
        yield Asker(server.address.port)


def test_a_hanging_engine_is_reported_by_other_threads(tmp_path: Path) -> None:
    disk = Hanging()
    with ExitStack() as stack:
        world = stack.enter_context(ServedWorld(tmp_path))
        world.configure("photos", watch=Watch.POLL, poll_interval_seconds=0.1)
        service = stack.enter_context(
            serving(
                world,
                ToldWatcher(),
                dependencies=Dependencies(disk=disk),
                patience_seconds=2.0,
            )
        )
        stack.callback(disk.end.set)
        asker = stack.enter_context(asked(lambda: service.view, world))
        until(asker.is_well)
        disk.begin.set()
        world.disk.write("new.jpg", fake_picture(1))
        until(lambda: asker.health() == (503, "no progress: planner\n"))
        assert asker.value("images", folder="photos", state="synced") == 0
        disk.end.set()
        until(asker.is_well)


def test_a_starting_service_is_not_healthy_yet(world: World) -> None:
    with world.running(), asked(ServiceView, world) as asker:
        assert asker.health() == (503, "the service is starting\n")
        assert asker.value("healthy") == 0


def test_a_blocked_service_reports_why_and_leaves_the_state_file_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snoopsync.status.snapshot.Database", None)
    with world.running(), asked(lambda: ServiceView(trouble="its disk is full"), world) as asker:
        assert asker.health() == (503, "the service is blocked: its disk is full\n")
        assert asker.value("healthy") == 0


def test_an_unreadable_state_file_is_reported(world: World) -> None:
    world.state_path.parent.mkdir()
    world.state_path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    with asked(ServiceView, world) as asker:
        _, said = asker.health()
        assert "the state file can't be read: " in said
        assert asker.value("queued_images") is None


def test_hanging_reads_do_not_pile_up_threads(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, end = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        reached.set()
        end.wait()

    monkeypatch.setattr("snoopsync.status.snapshot._READING_SECONDS", 0.05)
    monkeypatch.setattr(SnapshotReader, "_read", hang)
    with asked(ServiceView, world) as asker:
        first = threading.Thread(target=asker.health)
        first.start()
        try:
            assert reached.wait(20.0)
            assert "another thread is still reading it" in asker.health()[1]
        finally:
            end.set()
            first.join()


# The address.


def test_other_paths_name_the_two_endpoints(home: Installation, asker: Asker) -> None:
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running():
        for path in ("/", "/metric", "/healthz/x"):
            assert asker.get(path) == (404, "snoopsync serves /metrics and /healthz\n")


def test_a_silent_client_does_not_block_others(home: Installation, asker: Asker) -> None:
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running() as service, socket.create_connection((LOOPBACK, asker.port)):
        assert asker.get("/healthz")
        assert service.end() == 0


def test_a_port_in_use_is_a_configuration_error(home: Installation) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        home.configure(listening(port))
        done = home.run_process("run")
    assert done.code == 78
    assert f"metrics.listen: can't listen on 127.0.0.1:{port}: Address already in use" in done.err


def test_metrics_are_served_before_the_service_is_ready(home: Installation, asker: Asker) -> None:
    address = str(home.home / "notify")
    home.environment["NOTIFY_SOCKET"] = address
    home.configure(QUICK_SYNC + listening(asker.port))
    with manager(address) as systemd:
        with socket.create_server((LOOPBACK, asker.port)):
            assert home.run_process("run").code == 78
        assert "READY=1" not in systemd.heard
        with home.service():
            until(lambda: "READY=1" in systemd.heard)
            assert asker.listens()


def test_a_second_service_reports_the_lock_and_not_the_port(
    home: Installation, asker: Asker
) -> None:
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running():
        done = home.run_process("run")
    assert done.code == 7


def test_listening_beyond_this_machine_logs_a_warning(home: Installation) -> None:
    port = free_port()
    home.configure(QUICK_SYNC + listening(port, "0.0.0.0"))
    with home.running() as service:
        assert any("anyone who can reach this address" in line for line in service.lines)
        assert Asker(port).get("/healthz")


def test_metrics_are_served_on_an_ipv6_address(home: Installation) -> None:
    try:
        port = free_port_v6()
    except OSError:
        pytest.skip("there is no IPv6 on loopback")
    home.configure(QUICK_SYNC + listening(port, "::1"))
    with home.running() as service:
        assert not any("anyone who can reach this address" in line for line in service.lines)
        with urllib.request.urlopen(f"http://[::1]:{port}/healthz", timeout=20) as reply:
            assert reply.read()


def free_port_v6() -> int:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        return int(server.getsockname()[1])


def reload(service: Any, said: str) -> None:
    begun = len(service.lines)
    service.send(signal.SIGHUP)
    service.line_with(said, after=begun)


def test_a_reload_moves_the_listener(home: Installation, asker: Asker) -> None:
    other = Asker(free_port())
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running() as service:
        before = asker.value("requests_total", call="add", outcome="ok")
        home.configure(QUICK_SYNC + listening(other.port))
        reload(service, "configuration reloaded")
        assert other.value("requests_total", call="add", outcome="ok") == before, "it goes on"
        assert not asker.listens()
        home.configure(QUICK_SYNC + listening(other.port, "0.0.0.0"))
        reload(service, "configuration reloaded")
        until(other.is_well)
        home.configure()
        reload(service, "configuration reloaded")
        assert not other.listens()
        home.configure(QUICK_SYNC + listening(asker.port))
        reload(service, "configuration reloaded")
        until(asker.is_well)


def test_a_new_address_in_use_is_refused_and_the_old_one_stays(
    home: Installation, asker: Asker
) -> None:
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running() as service, socket.create_server((LOOPBACK, 0)) as taken:
        home.configure(QUICK_SYNC + listening(taken.getsockname()[1]))
        reload(service, "keeping the old one")
        until(asker.is_well)
        home.configure(QUICK_SYNC + listening(asker.port, "192.0.2.1"))
        reload(service, "keeping the old one")
        until(asker.is_well)


def test_without_the_extra_the_error_has_the_command_that_installs_it(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "snoopsync.config.file.find_spec",
        lambda name: None if name == "prometheus_client" else object(),
    )
    home.configure(listening(free_port()))
    done = home.run("run")
    assert done.code == 78
    assert "line 1: metrics: needs prometheus_client, which is not installed" in done.err
    assert "pip install 'snoopsync[metrics]'" in done.err


def test_a_service_without_both_imports_neither(home: Installation) -> None:
    home.configure()
    code = f"""
import os, pathlib, signal, sys, threading, time
from snoopsync.cli.root import run_program

def stop_when_it_runs():
    while not pathlib.Path({str(socket_path(home.state))!r}).exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=stop_when_it_runs, daemon=True).start()
run_program(["run"])
sys.exit(sorted({{"apprise", "prometheus_client"}} & sys.modules.keys()) or 0)
"""
    done = home.run_python(code)
    assert done.code == 0, done


# The documentation.

TABLE = [
    line
    for line in section(PAGES["metrics"], "`/metrics`").splitlines()
    if line.startswith("| `snoopsync_")
]
RULES = ROOT / "docs" / "prometheus-rules.yaml"


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> list[Metric]:
    """What a service that has done something has to say."""
    home, asker = Installation(tmp_path_factory.mktemp("home")), Asker(free_port())
    (home.pictures / "a.jpg").write_bytes(encode(photo(1)))
    home.configure(QUICK_SYNC + listening(asker.port))
    with home.running():
        _, text = asker.get("/metrics")
    return list(text_string_to_metric_families(text))


def test_every_metric_is_documented_and_no_other(families: list[Metric]) -> None:
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in families
        if family.name.startswith("snoopsync_")
    }
    assert {name for line in TABLE for name in re.findall(r"`(snoopsync_\w+)`", line)} == names


def test_the_labels_of_every_metric_are_documented(families: list[Metric]) -> None:
    for family in families:
        if family.name.startswith("snoopsync_"):
            [line] = [line for line in TABLE if re.search(rf"`{family.name}(_total)?`", line)]
            labels = {name for sample in family.samples for name in sample.labels} - {"le"}
            assert set(re.findall(r"`(\w+)`", line.split("|")[2])) == labels


def test_every_series_of_the_alerting_rules_exists(families: list[Metric]) -> None:
    there = [sample for family in families for sample in family.samples]
    expressions = [rule["expr"] for rule in yaml.safe_load(RULES.read_text())["groups"][0]["rules"]]
    series = [
        found for each in expressions for found in re.findall(r"(snoopsync_\w+)({.*?})?", each)
    ]
    assert len(series) >= len(expressions) - 1
    for name, given in series:
        labels = dict(re.findall(r'(\w+)="(\w+)"', given))
        assert any(
            sample.name == name and labels.items() <= sample.labels.items() for sample in there
        ), (name, given)


def test_prometheus_accepts_the_alerting_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    subprocess.run([promtool, "check", "rules", RULES], check=True)
