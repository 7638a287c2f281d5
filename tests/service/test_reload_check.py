"""SIGHUP: a new configuration is checked, and everything that it does not change continues."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.config.settings import Config, DuplicatesConfig
from snoopsync.embedded import open_embedded
from snoopsync.runtime.signals import Signals
from snoopsync.service import generation as service_module
from snoopsync.service.environment import Showing
from snoopsync.sync.duplicate_search import DuplicateSearch
from snoopsync.watching.watcher import Watcher
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import Hang
from tests.support.pictures import encode, photo
from tests.support.process import DEADLINE_SECONDS, QUICK_SYNC, Installation, Service, until
from tests.support.serving import serving
from tests.support.world import Shelf, World, fake_picture

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    home.add_pictures(3)
    return home


def folders(*paths: Path) -> str:
    return f"folders: [{', '.join(f'{{path: {path}}}' for path in paths)}]\n"


def reload(service: Service, said: str = "configuration reloaded") -> int:
    """Returns how many lines there were before."""
    begun = len(service.lines)
    service.send(signal.SIGHUP)
    service.line_with(said, after=begun)
    return begun


def scans(home: Installation) -> dict[str, str]:
    return {folder["name"]: folder["last_scan"] for folder in home.status()["folders"]}


def test_an_added_folder_is_mirrored_and_the_others_are_not_scanned(
    home: Installation,
) -> None:
    more = home.home / "more"
    more.mkdir()
    (more / "new.jpg").write_bytes(encode(photo(7)))
    home.configure()
    with home.running() as service:
        until(home.is_in_sync)
        before = scans(home)
        home.configure(folders=folders(home.pictures, more))
        begun = reload(service)
        service.line_with("added more/new.jpg", after=begun)
        until(home.is_in_sync)
        assert scans(home)["pictures"] == before["pictures"]
        (home.pictures / "later.jpg").write_bytes(encode(photo(8)))
        service.line_with("added pictures/later.jpg", after=begun)
        until(home.is_in_sync)
        assert not any("sync complete" in line for line in service.lines[begun:])


def test_a_dropped_folder_is_left_alone(home: Installation) -> None:
    other = home.home / "other"
    other.mkdir()
    (other / "a.jpg").write_bytes(encode(photo(7)))
    home.configure(folders=folders(home.pictures, other))
    with home.running() as service:
        until(home.is_in_sync)
        home.configure()
        reload(service)
        (other / "a.jpg").unlink()
        (home.pictures / "later.jpg").write_bytes(encode(photo(8)))
        service.line_with("added pictures/later.jpg")
        until(home.is_in_sync)
        assert [folder["name"] for folder in home.status()["folders"]] == ["pictures"]
    with closing(open_embedded(home.state.parent / "collection/collection.sqlite3")) as there:
        assert len(list(there.images())) == 5


def test_a_new_pattern_applies(home: Installation) -> None:
    home.configure()
    with home.running() as service:
        home.configure(folders=f'folders: [{{path: {home.pictures}, exclude: ["draft*"]}}]\n')
        reload(service)
        for name in ("draft.jpg", "final.jpg"):
            (home.pictures / name).write_bytes(encode(photo(len(name))))
        service.line_with("added pictures/final.jpg")
        until(home.is_in_sync)
        assert not any("draft.jpg" in line for line in service.lines)


def test_a_bad_configuration_is_refused_with_its_errors_and_the_old_one_stays(
    home: Installation,
) -> None:
    home.configure()
    with home.running() as service:
        home.configure("sync: {settel: 1s}\nlog: {level: loud}\n")
        begun = reload(service, "keeping the old one")
        service.line_with("sync.settel", after=begun)
        service.line_with("log.level", after=begun)
        (home.pictures / "later.jpg").write_bytes(encode(photo(8)))
        service.line_with("added pictures/later.jpg", after=begun)
        home.configure()  # now that the file is right again, commands can ask
        until(home.is_in_sync)


def test_the_same_configuration_changes_nothing(home: Installation) -> None:
    home.configure()
    with home.running() as service:
        reload(service, "the configuration has not changed")
        assert service.end() == 0


def test_the_new_log_format_applies(home: Installation) -> None:
    home.configure()
    with home.running() as service:
        home.configure(QUICK_SYNC + "log: {format: json}\n")
        begun = reload(service)
        assert (
            json.loads(service.line_with("configuration reloaded", after=begun))["level"] == "INFO"
        )


def test_pending_images_are_sent_once_after_a_reload(home: Installation) -> None:
    """The request that was under way is heard out first: no second one runs beside it."""
    for number in range(20):
        (home.pictures / f"fake-{number}.jpg").write_bytes(fake_picture(number))
    with CollectionServer(Shelf()) as server:
        hang = Hang()
        server.fault_for = lambda seen: hang if seen.method == "POST" else None
        for path in home.pictures.glob("?.jpg"):
            path.unlink()
        home.configure_service(server.endpoint, PUBLIC_KEY)
        secret = {"SNOOPSYNC_SECRET_KEY": SECRET_KEY}
        home.environment |= secret
        with home.service() as service:
            assert hang.reached.wait(DEADLINE_SECONDS)
            home.configure_service(
                server.endpoint, PUBLIC_KEY, QUICK_SYNC + "duplicates: {max_rank: 9}\n"
            )
            service.send(signal.SIGHUP)
            server.fault_for = lambda _seen: None
            hang.release()
            service.line_with("configuration reloaded")
            until(home.is_in_sync)
            posts = [seen.image_id for seen in server.sent("POST") if "/image" in seen.path]
        assert len(posts) == len(set(posts)) == 20


def test_another_collection_is_compared_from_the_start(home: Installation, tmp_path: Path) -> None:
    home.configure()
    with (
        closing(open_embedded(tmp_path / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
    ):
        home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        with home.running() as service:
            begun = len(service.lines)
            home.configure_service(server.endpoint, PUBLIC_KEY)
            service.send(signal.SIGHUP)
            service.line_with("sync complete", after=begun)
            until(home.is_in_sync)
            assert len(server.contents) == 3


def test_another_state_file_is_created(home: Installation) -> None:
    home.configure()
    with home.running() as service:
        begun = len(service.lines)
        elsewhere = home.home / "elsewhere" / "state.sqlite3"
        home.configure(f"{QUICK_SYNC}state: {elsewhere}\n")
        service.send(signal.SIGHUP)
        service.line_with("sync complete", after=begun)
        until(home.is_in_sync)
        assert elsewhere.exists()
        assert service.end() == 0


def test_many_reloads_in_a_row_lose_nothing(home: Installation) -> None:
    home.configure()
    with home.running() as service:
        for number in range(8):
            (home.pictures / f"more-{number}.jpg").write_bytes(encode(photo(10 + number)))
            home.configure(f"{QUICK_SYNC}duplicates: {{max_rank: {10 + number}}}\n")
            reload(service)
        until(home.is_in_sync)
        assert len(home.json("list", "--json")) == 11


# A state file that can't be used.


def taken(home: Installation, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"")
    (path.parent / f"{path.name}.lock").mkdir()


def no_directory(home: Installation, path: Path) -> None:
    path.parent.write_text("a file")


def of_a_newer_version(home: Installation, path: Path) -> None:
    path.parent.mkdir()
    shutil.copy(home.state, path)
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 1000")


@pytest.mark.parametrize("spoil", [taken, no_directory, of_a_newer_version])
def test_an_unusable_state_file_is_refused_and_the_old_one_stays(
    home: Installation, spoil: Callable[[Installation, Path], None]
) -> None:
    home.configure()
    log = home.home / "new.log"
    with home.running() as service:
        elsewhere = home.home / "elsewhere" / "state.sqlite3"
        spoil(home, elsewhere)
        home.configure(f"{QUICK_SYNC}state: {elsewhere}\nlog: {{file: {log}, format: json}}\n")
        begun = reload(service, "keeping the old one")
        assert "state: can't be used: " in service.line_with("keeping the old one", after=begun)
        (home.pictures / "later.jpg").write_bytes(encode(photo(8)))
        service.line_with(" added pictures/later.jpg", after=begun)
        assert not log.exists()
        home.configure()
        until(home.is_in_sync)
        assert service.end() == 0


def test_an_unusable_collection_is_refused_and_the_old_one_stays(
    home: Installation,
) -> None:
    """The configuration has no mistake: it only shows when the parts are created."""
    with CollectionServer(Shelf()) as server:
        home.configure_service(server.endpoint, PUBLIC_KEY)
        home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        for path in home.pictures.glob("?.jpg"):
            path.unlink()
        with home.running() as service:
            (home.state.parent / "collection").write_text("a file")
            home.configure()
            begun = reload(service, "keeping the old one")
            assert "collection: can't be used: " in service.line_with("keeping", after=begun)
            (home.pictures / "later.jpg").write_bytes(fake_picture(8))
            service.line_with(" added pictures/later.jpg", after=begun)
            assert server.contents
            assert service.end() == 0


def test_a_damaged_state_file_is_rebuilt(home: Installation) -> None:
    home.configure()
    with home.running() as service:
        elsewhere = home.home / "elsewhere.sqlite3"
        elsewhere.write_bytes(b"nonsense" * 1000)
        home.configure(f"{QUICK_SYNC}state: {elsewhere}\n")
        begun = len(service.lines)
        service.send(signal.SIGHUP)
        service.line_with("sync complete", after=begun)
        until(home.is_in_sync)


def test_a_reload_waits_until_the_search_for_duplicates_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch, watcher: Watcher
) -> None:
    """Otherwise two searches could alert about one pair."""
    order: list[str] = []
    searching, returned = threading.Event(), threading.Event()
    run = service_module.Service.run

    def search(
        _duplicate_search: DuplicateSearch, _is_stopped: Callable[[], bool], **_options: object
    ) -> None:
        if not searching.is_set():
            searching.set()
            returned.wait(1.5)  # longer than a service that stops waits for its search
            order.append("the search has ended")

    def recorded(service: service_module.Service, showing: Showing) -> Config | None:
        config = run(service, showing)
        order.append("the service has ended")
        returned.set()
        return config

    monkeypatch.setattr(DuplicateSearch, "work_off", search)
    monkeypatch.setattr(service_module.Service, "run", recorded)
    world.disk.write("a.jpg", fake_picture(1))
    signals = Signals()
    other = replace(world.config, duplicates=DuplicatesConfig(max_rank=9))
    with serving(world, watcher, signals=signals, reload=lambda: other) as running:
        assert searching.wait(DEADLINE_SECONDS)
        signals.reload = True
        running._environment.wakeup.notify()
        assert returned.wait(DEADLINE_SECONDS)
    assert order == ["the search has ended", "the service has ended"]


def test_a_reload_waits_until_the_listing_has_ended(world: World, watcher: Watcher) -> None:
    """Its thread uses the state file and the collection that the next generation uses."""
    hang, signals, earlier = Hang(), Signals(), set(threading.enumerate())

    def names() -> set[str]:
        return {thread.name for thread in threading.enumerate() if thread not in earlier}

    world.remote.server.fault_for = lambda seen: hang if seen.path.endswith("/images") else None
    other = replace(world.config, duplicates=DuplicatesConfig(max_rank=9))
    with serving(world, watcher, signals=signals, reload=lambda: other) as running:
        assert hang.reached.wait(DEADLINE_SECONDS)
        signals.reload = True
        running._environment.wakeup.notify()
        until(lambda: running._stop.is_set() and "duplicates" not in names())
        assert {"listing", "engine"} <= names()
        hang.release()
        until(lambda: "engine" not in names())
        assert "listing" not in names()
