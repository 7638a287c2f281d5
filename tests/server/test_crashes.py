"""kill -9 of a real ``serve`` under load keeps all confirmed changes, and no partial ones."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import SnoopsyncError, Unavailable
from tests.support.hosted import hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

PICTURES = [encode(photo(seed, (64, 48))) for seed in range(12)]
CLIENTS = 3


class Client:
    """Adds, updates and deletes one image after the other, and records the answers."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self.held: dict[str, bytes] = {}
        self.answers = 0
        self._name = name
        self._dice = dice
        self._made = 0
        #: The change without an answer: an ID, and its content if the change took effect.
        self._doubt: tuple[str, bytes | None] | None = None

    def work(self, collection: Collection) -> None:
        """Send changes until an answer is missing."""
        try:
            while True:
                self._do_something(collection)
        except SnoopsyncError:
            return

    def _do_something(self, collection: Collection) -> None:
        picture = self._dice.choice(PICTURES)
        what = self._dice.choice(("add", "add", "update", "delete")) if self.held else "add"
        if what == "add":
            self._made += 1
            image_id = f"{self._name}.{self._made}"
        else:
            image_id = self._dice.choice(list(self.held))
        after = None if what == "delete" else picture
        self._doubt = (image_id, after)
        try:
            if what == "delete":
                collection.delete_image(image_id)
            else:
                collection.add_image(io.BytesIO(picture), image_id, what == "update")
        except Unavailable as error:
            assert error.status == 425  # repeated within a second, so it was not done
        else:
            self._settle(after)
        self._doubt = None

    def _settle(self, after: bytes | None) -> None:
        assert self._doubt is not None
        if after is None:
            self.held.pop(self._doubt[0], None)
        else:
            self.held[self._doubt[0]] = after
        self.answers += 1

    def learn(self, stored: dict[str, bytes]) -> None:
        """Find out whether the change without an answer took effect."""
        if self._doubt is not None:
            image_id, after = self._doubt
            found = stored.get(image_id)
            if found == (None if after is None else digest(after)):
                self._settle(after)
            self._doubt = None


def digest(picture: bytes) -> bytes:
    return hashlib.sha256(picture).digest()


def stored_in(file: Path) -> dict[str, bytes]:
    """Return the digest of each image on disk."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(connection.execute("SELECT id, sha256 FROM image"))


def play(home: Installation, data: Path, rounds: int, seed: int) -> None:
    dice = random.Random(seed)
    (key,) = home.json("keys", "add", "shop", "--data", data, "--json")
    file = data / "collections" / key["collection_id"] / "collection.sqlite3"
    clients = [Client(f"c{number}", random.Random(dice.random())) for number in range(CLIENTS)]
    for turn in range(rounds + 1):
        with hosted_process(home, data) as (service, endpoint):

            def connected(endpoint: str = endpoint) -> Collection:
                return Collection(key["public_key"], key["secret_key"], endpoint, timeout=20.0)

            if turn:
                check(clients, connected(), file)
                assert list((data / "incoming").iterdir()) == []
            if turn == rounds:
                assert service.end() == 0
                return
            wanted = sum(client.answers for client in clients) + dice.randrange(5, 40)
            load(clients, [connected() for _ in clients], wanted, service.pid)


def load(clients: list[Client], connections: list[Collection], wanted: int, pid: int) -> None:
    """Run the clients until they have so many answers, then kill the service."""
    threads = [
        threading.Thread(target=client.work, args=(connection,))
        for client, connection in zip(clients, connections, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        until(lambda: sum(client.answers for client in clients) >= wanted)
    finally:
        os.kill(pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()


def check(clients: list[Client], collection: Collection, file: Path) -> None:
    """Check that the listing and the disk match the answers."""
    with collection:
        listed = {image["id"] for image in collection.images()}
        stored = stored_in(file)
        for client in clients:
            client.learn(stored)
        expected = {
            image_id: digest(picture)
            for client in clients
            for image_id, picture in client.held.items()
        }
        assert stored == expected
        assert listed == set(expected)
        found = collection.search_images(io.BytesIO(PICTURES[0]))["results"]
        assert all(match["id"] in listed for match in found)


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_confirmed_changes_survive_kill_9(tmp_path: Path) -> None:
    play(Installation(tmp_path), tmp_path / "data", rounds=5, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [2, 3])
def test_confirmed_changes_survive_many_kills(tmp_path: Path, seed: int) -> None:
    play(Installation(tmp_path), tmp_path / "data", rounds=50, seed=seed)
