"""A node is ready when it has the codes of its collections in memory."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from snoopsync.core.errors import Unavailable
from snoopsync.decoding.decoders import Decoders
from snoopsync.server import app as app_module
from snoopsync.server.signature import Verifier
from snoopsync.server.storage import Location, open_storage
from snoopsync.server.tenants import Tenants
from snoopsync.storage.hosting import Hosting
from snoopsync.storage.postgres import pool as pool_module
from snoopsync.storage.sqlite.registry import collection_path
from tests.server.helpers import PICTURE, ask
from tests.support.hosted import hosted
from tests.support.postgres import running_cluster
from tests.support.process import until

HEALTHY = {"status": 200, "message": "OK"}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Indexes are not loaded before this is set."""
    gate, load = threading.Event(), Tenants.load_indexes

    def load_behind_gate(self: Tenants) -> Mapping[str, Exception]:
        gate.wait()
        return load(self)

    monkeypatch.setattr(Tenants, "load_indexes", load_behind_gate)
    yield gate
    gate.set()


def test_a_node_is_ready_when_its_index_is_loaded(data: Path, gate: threading.Event) -> None:
    with hosted(data, is_ready=False) as service, service.client("a") as client:
        status, answer, headers = ask(service, "GET", "/healthz")
        assert (status, answer["message"]) == (503, "the index is being loaded")
        assert headers["Retry-After"] == "1"
        client.add_image(io.BytesIO(PICTURE), "a")
        assert client.search_images_by_id("a")["results"] == [], "requests are answered"
        assert not service.application.is_ready
        gate.set()
        until(lambda: ask(service, "GET", "/healthz")[:2] == (200, HEALTHY))
        assert service.application.is_ready


def test_a_search_after_the_start_reads_no_codes(data: Path) -> None:
    with hosted(data) as service, service.client("a") as client:
        client.add_image(io.BytesIO(PICTURE), "a")
    with hosted(data) as service:
        [collection] = service.tenants.open_collections()
        assert collection.index_size()[0] == 1


def test_a_collection_that_cannot_be_loaded_delays_no_other(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hosted(data) as service, service.client("good") as client:
        client.add_image(io.BytesIO(PICTURE), "a")
        with service.client("bad") as other:
            other.get_images()
        ids = {each.name: each.collection_id for each in service.hosting.collections()}
    path = collection_path(data, ids["bad"])
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(b"no database" * 100)
    caplog.clear()
    with hosted(data) as service, service.client("good") as client:
        assert ask(service, "GET", "/healthz")[:2] == (200, HEALTHY)
        assert client.get_image("a")["status"] == 200
        assert list(service.tenants.failed) == ["bad"]
    lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    [line] = lines
    assert line.startswith("the index of the collection bad can't be loaded: ")
    assert "not a database" in line


@pytest.mark.integration
def test_a_node_waits_for_a_database_that_is_away(
    data: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "_WAIT_SECONDS", 0.5)
    monkeypatch.setattr(app_module, "_RELOAD_SECONDS", 0.1)
    with running_cluster(fsync="off") as cluster:
        location = Location(data, cluster.new_database())
        with hosted(location, is_ready=False) as service:
            service.keys("a")
            cluster.stop()
            gate.set()
            assert ask(service, "GET", "/healthz")[0] == 503
            assert not service.application.is_ready
            cluster.start()
            until(lambda: ask(service, "GET", "/healthz")[0] == 200)
            assert service.tenants.failed == {}


# Which collections are loaded.


@contextmanager
def tenants_of(data: Path, file_limit: int) -> Iterator[tuple[Tenants, Hosting]]:
    with ExitStack() as stack:
        storage = stack.enter_context(open_storage(Location(data)))
        verifier = Verifier(storage.master_key.secret_of, storage.hosting.signatures)
        decoders = stack.enter_context(closing(Decoders(1)))
        tenants = Tenants(
            storage.incoming,
            storage.hosting,
            verifier,
            decoders,
            lambda: 0.0,
            file_limit=lambda: file_limit,
        )
        yield stack.enter_context(closing(tenants)), storage.hosting


def loaded(tenants: Tenants) -> list[str]:
    """The names of the collections that are loaded, in the order of loading."""
    assert tenants.load_indexes() == {}
    return [each.name for each in tenants.open_collections()]


def test_the_collections_that_were_used_last_are_loaded_first(data: Path) -> None:
    with tenants_of(data, 16384) as (tenants, hosting):
        for name, used_at in (("old", 5e9), ("new", 7e9), ("middle", 6e9)):
            hosting.record_use(hosting.add_key(name).public_key, used_at)
        hosting.record_use(hosting.add_key("new").public_key, 4e9)
        assert loaded(tenants) == ["new", "middle", "old"]


def test_no_more_collections_are_loaded_than_a_quarter_of_the_files_allows(data: Path) -> None:
    with tenants_of(data, 4 * 9 * 2) as (tenants, hosting):
        for name, used_at in (("old", 5e9), ("new", 7e9), ("middle", 6e9)):
            hosting.record_use(hosting.add_key(name).public_key, used_at)
        assert loaded(tenants) == ["new", "middle"]


def test_a_collection_that_nobody_may_use_is_not_loaded(data: Path) -> None:
    with tenants_of(data, 16384) as (tenants, hosting):
        left, used = hosting.add_key("left"), hosting.add_key("used")
        for key in (left, used):
            hosting.record_use(key.public_key, 5e9)
        hosting.revoke(left.public_key)
        assert loaded(tenants) == ["used"]


def test_a_collection_that_nobody_has_used_is_not_created(data: Path) -> None:
    with tenants_of(data, 16384) as (tenants, hosting):
        hosting.add_key("new")
        assert loaded(tenants) == []
        assert not (data / "collections").exists()


def test_no_collection_is_opened_after_the_end(data: Path) -> None:
    with tenants_of(data, 16384) as (tenants, hosting):
        hosting.record_use(hosting.add_key("a").public_key, 5e9)
        tenants.close()
        with pytest.raises(Unavailable, match="stopping"):
            tenants.collection(hosting.collections()[0])
        assert tenants.load_indexes() == {}
        assert tenants.open_collections() == []


def test_a_database_that_is_lost_while_loading_is_no_fault_of_a_collection(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tenants_of(data, 16384) as (tenants, hosting):
        key = hosting.add_key("a")
        hosting.record_use(key.public_key, 5e9)
        path = collection_path(data, key.collection_id)
        path.parent.mkdir(mode=0o700, parents=True)
        path.write_bytes(b"no database" * 100)
        with monkeypatch.context() as patch:
            patch.setattr(type(hosting), "collections", fail)
            with pytest.raises(Unavailable, match="away"):
                tenants.load_indexes()
            assert tenants.failed == {}
        assert list(tenants.load_indexes()) == ["a"]


def fail(_: object) -> None:
    raise Unavailable("the database is away")
