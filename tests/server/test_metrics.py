"""The metrics of ``serve``, as Prometheus reads them from a real service on loopback."""

from __future__ import annotations

import io
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from snoopsync.core.addresses import Address
from snoopsync.core.errors import NotFound, Refused
from snoopsync.core.exits import Exit
from snoopsync.server.description import openapi
from snoopsync.server.metrics import ServeCollector, serve_metrics
from snoopsync.server.operations import BASE, find_operation
from snoopsync.server.request_counters import UNKNOWN_CALL, call_of
from snoopsync.server.storage import Location
from snoopsync.storage.hosting import PoolStatistics
from snoopsync.version import __version__
from tests.server.helpers import PICTURE, ask, connect
from tests.support.documentation import PAGES, section
from tests.support.hosted import Hosted, hosted, hosted_process
from tests.support.paths import ROOT
from tests.support.postgres import Cluster
from tests.support.process import Installation, until
from tests.support.prometheus import assert_conventional

LOOPBACK = Address("127.0.0.1", 0)

POOL = PoolStatistics(size=3, most=24, in_use=2, waiting=1, failed=5)


def fetch(address: Address, path: str) -> tuple[int, str]:
    """The status and the text of this page."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Scraper:
    """Reads the metrics at this address."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def families(self) -> list[Metric]:
        status, text = fetch(self.address, "/metrics")
        assert status == 200
        return list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float | None:
        """The value of this series; ``None`` if it does not exist."""
        samples = (sample for family in self.families() for sample in family.samples)
        found = [
            sample.value
            for sample in samples
            if sample.name == f"snoopsync_{name}" and sample.labels == labels
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def requests(self, call: str, status: int) -> float | None:
        """How many responses to this call had this status."""
        return self.value("serve_requests_total", call=call, status=str(status))


def collector_of(service: Hosted) -> ServeCollector:
    return ServeCollector(
        service.application, service.server, service.tenants, service.hosting, service.decoders
    )


@contextmanager
def scraping(service: Hosted) -> Iterator[Scraper]:
    with closing(serve_metrics(LOOPBACK, collector_of(service))) as listener:
        yield Scraper(listener.address)


@pytest.fixture
def scraper(service: Hosted) -> Iterator[Scraper]:
    with scraping(service) as scraper:
        yield scraper


# Requests.


def test_requests_are_counted_by_call_and_status(data: Path) -> None:
    with hosted(data) as service, scraping(service) as scraper, service.client("a") as client:
        assert scraper.requests("add", 201) is None
        client.add_image(io.BytesIO(PICTURE), "a")
        client.add_image(io.BytesIO(PICTURE), "b")
        client.get_image("a")
        with pytest.raises(NotFound):
            client.get_image("c")
        client.search_images_by_id("a")
        client.search_images(io.BytesIO(PICTURE))
        client.delete_image("b")
        for call, status, count in (
            ("add", 201, 2),
            ("get", 200, 1),
            ("get", 404, 1),
            ("search_by_id", 200, 1),
            ("search_by_picture", 200, 1),
            ("delete", 200, 1),
        ):
            assert scraper.requests(call, status) == count, call
        assert scraper.value("serve_request_duration_seconds_count", call="get") == 2
        assert scraper.value("serve_request_duration_seconds_bucket", call="get", le="+Inf") == 2
        until(lambda: scraper.value("serve_requests_in_progress") == 0)


def test_a_request_without_a_valid_signature_is_counted_by_its_call(
    service: Hosted, scraper: Scraper
) -> None:
    before = scraper.requests("list", 401) or 0
    assert ask(service, "GET", "/api/v1/images")[0] == 401
    assert scraper.requests("list", 401) == before + 1


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/image/%FF", "/api/v1/secret/name"])
def test_a_path_never_becomes_a_label(service: Hosted, scraper: Scraper, path: str) -> None:
    status, *_ = ask(service, "GET", path)
    before = scraper.requests("unknown", status) or 0
    ask(service, "GET", path)
    assert scraper.requests("unknown", status) == before + 1
    _, text = fetch(scraper.address, "/metrics")
    assert path not in text


def test_no_label_names_a_key_or_a_collection(service: Hosted, scraper: Scraper) -> None:
    public, _ = service.keys("very-secret-name")
    with service.client("very-secret-name") as client:
        client.get_images()
    _, text = fetch(scraper.address, "/metrics")
    assert "very-secret-name" not in text
    assert public not in text


def test_open_and_refused_connections_are_counted(few: Hosted) -> None:
    with scraping(few) as scraper, connect(few.port):
        until(lambda: scraper.value("serve_connections") == 1)
        assert scraper.value("serve_connections_refused_total") == 0


# The index.


def test_the_index_of_all_collections_is_counted_together(data: Path) -> None:
    with hosted(data) as service, scraping(service) as scraper:
        assert scraper.value("serve_ready") == 1
        assert scraper.value("serve_collections_open") == 0
        for name in ("a", "b"):
            with service.client(name) as client:
                client.add_image(io.BytesIO(PICTURE), "one")
                client.search_images_by_id("one")
        assert scraper.value("serve_collections_open") == 2
        assert scraper.value("serve_index_codes") == 2
        assert (scraper.value("serve_index_bytes") or 0) >= 64
    with hosted(data) as service, scraping(service) as scraper:
        assert scraper.value("serve_index_codes") == 2, "loaded at the start"


# Decoders and the database.


def test_decoders_are_counted(data: Path) -> None:
    with (
        hosted(data, work="tests.support.decoder_work:by_its_content") as service,
        scraping(service) as scraper,
        service.client("a") as client,
    ):
        with pytest.raises(Refused):
            client.add_image(io.BytesIO(b"crashes"), "a")
        assert scraper.value("serve_decoders") == 1
        until(lambda: scraper.value("serve_decoders_busy") == 0)
        assert scraper.value("serve_decoder_deaths_total") == 2
        assert scraper.value("serve_pictures_refused_total") == 1


def test_sqlite_has_no_pool(scraper: Scraper) -> None:
    assert scraper.value("serve_database_connections") is None


@pytest.mark.integration
def test_the_pool_of_postgresql_is_counted(data: Path, cluster: Cluster) -> None:
    location = Location(data, cluster.new_database())
    with hosted(location) as service, scraping(service) as scraper, service.client("a") as client:
        client.get_images()
        assert (scraper.value("serve_database_connections") or 0) >= 1
        assert scraper.value("serve_database_connections_max") == 24
        assert scraper.value("serve_database_requests_failed_total") == 0


# The address.


def test_only_metrics_are_served(scraper: Scraper) -> None:
    for path in ("/", "/healthz", "/api/v1/images"):
        assert fetch(scraper.address, path) == (404, "snoopsync serves /metrics\n")


def test_metrics_are_not_on_the_public_address(service: Hosted) -> None:
    assert ask(service, "GET", "/metrics")[0] == 404


@pytest.mark.integration
def test_serve_logs_where_its_metrics_are(home: Installation, data: Path) -> None:
    with hosted_process(home, data, "--metrics", "127.0.0.1:0") as (service, _):
        url = service.line_with("metrics are at ").rpartition(" ")[2]
        with urllib.request.urlopen(url, timeout=20) as reply:
            text = reply.read().decode()
        assert f'snoopsync_build_info{{version="{__version__}"}} 1.0' in text
        assert "process_resident_memory_bytes" in text
        assert not any("anyone who can reach" in line for line in service.lines)
        assert service.end() == 0


@pytest.mark.integration
def test_listening_beyond_this_machine_logs_a_warning(home: Installation, data: Path) -> None:
    with hosted_process(home, data, "--metrics", "0.0.0.0:0") as (service, _):
        assert "warning" in service.line_with("anyone who can reach this address")


def test_a_port_in_use_is_an_error(home: Installation, data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = home.run("serve", "--listen", "127.0.0.1:0", "--metrics", address, "--data", data)
    assert done.code == Exit.BUG
    assert f"can't listen on {address}: Address already in use" in done.err
    assert "Traceback" not in done.err


def test_without_the_extra_the_error_has_the_command_that_installs_it(
    home: Installation, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snoopsync.cli.serve.find_spec", lambda _: None)
    done = home.run("serve", "--metrics", "127.0.0.1:0", "--data", data)
    assert done.code == Exit.BUG
    assert "pip install 'snoopsync[metrics]'" in done.err


# The documentation.


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> list[Metric]:
    """All metrics of a service that has answered requests, with a pool."""
    with (
        hosted(tmp_path_factory.mktemp("documented")) as service,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(type(service.hosting), "pool_statistics", lambda _: POOL)
        with service.client("a") as client:
            client.add_image(io.BytesIO(PICTURE), "a")
            client.search_images_by_id("a")
        with scraping(service) as scraper:
            return [each for each in scraper.families() if each.name.startswith("snoopsync_")]


TABLE = [
    line
    for line in section(PAGES["metrics"], "A hosted collection").splitlines()
    if line.startswith("| `snoopsync_")
]


def test_every_metric_is_documented_and_no_other(families: list[Metric]) -> None:
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in families
    }
    documented = {name for line in TABLE for name in re.findall(r"`(snoopsync_\w+)`", line)}
    assert documented == names


def test_the_labels_of_every_metric_are_documented(families: list[Metric]) -> None:
    for family in families:
        [line] = [line for line in TABLE if re.search(rf"`{family.name}(_total)?`", line)]
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        assert set(re.findall(r"`(\w+)`", line.split("|")[2])) == labels


def test_every_call_is_documented_and_no_other() -> None:
    calls = {
        call_of(find_operation(method.upper(), BASE + path.replace("{image_id}", "a"), ""))
        for path, methods in openapi(BASE)["paths"].items()
        for method in methods.keys() - {"parameters"}
    }
    [line] = [line for line in TABLE if "`snoopsync_serve_requests_total`" in line]
    documented = set(re.findall(r"`(\w+)`", line.split("|")[3]))
    assert documented == calls | {"healthz", "openapi", UNKNOWN_CALL}


def test_names_follow_the_conventions_of_prometheus(families: list[Metric]) -> None:
    assert_conventional(families)


def test_the_figures_of_the_pool_have_their_metrics(families: list[Metric]) -> None:
    values = {
        sample.name.removeprefix("snoopsync_serve_database_"): sample.value
        for family in families
        for sample in family.samples
        if "_database_" in sample.name
    }
    assert values == {
        "connections": POOL.size,
        "connections_max": POOL.most,
        "connections_in_use": POOL.in_use,
        "requests_waiting": POOL.waiting,
        "requests_failed_total": POOL.failed,
    }


def test_every_series_of_the_alerting_rules_exists(families: list[Metric]) -> None:
    existing = [sample for family in families for sample in family.samples]
    groups = yaml.safe_load((ROOT / "docs" / "prometheus-rules.yaml").read_text())["groups"]
    [rules] = [group["rules"] for group in groups if group["name"] == "snoopsync-serve"]
    series = [
        found for rule in rules for found in re.findall(r"(snoopsync_\w+)({.*?})?", rule["expr"])
    ]
    assert len(series) >= len(rules) - 1
    for name, given in series:
        labels = dict(re.findall(r'(\w+)="(\w+)"', given))
        assert any(
            sample.name == name and labels.items() <= sample.labels.items() for sample in existing
        ), (name, given)
