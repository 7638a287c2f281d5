"""Something other than the collection answers: a login page, a wrong URL, a broken proxy. The error
says so, and its answers about images are ignored."""

from __future__ import annotations

import json
import random

import pytest

from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
from tests.support.collection_server import CollectionServer, Seen
from tests.support.faults import NO_COLLECTION, Fault
from tests.support.process import Done, Installation, until
from tests.support.world import World, fake_picture

pytestmark = pytest.mark.integration

#: The part of each answer that the error must contain.
SAYS = {
    "HTML": "<html><title>Log in first",
    "empty": "JSON but nothing",
    "cut JSON": '{"status": 200, "message',
    "another JSON": "hello",
    "a JSON list": "JSON but '[]'",
    "no content": "204 No Content, and there is no collection",
    "elsewhere": "302 Found, to http://login.test/",
    "network login": "511 Network Authentication Required",
    "404 page": "404 Not Found, and there is no collection",
    "another 404": "404 Not Found, and there is no collection",
    "405": "405 Method Not Allowed, and there is no collection",
    "500": "500 Internal Server Error",
}

every_kind = pytest.mark.parametrize("kind", list(NO_COLLECTION))


@pytest.fixture
def home(shelf_home: Installation) -> Installation:
    """An installation with two pictures in its folder."""
    for number in range(2):
        (shelf_home.pictures / f"{number}.jpg").write_bytes(fake_picture(number))
    return shelf_home


def break_into(shelf_server: CollectionServer, kind: str) -> None:
    """Make every request fail with this fault."""
    shelf_server.fault_for = lambda _seen: NO_COLLECTION[kind]


def states(home: Installation) -> dict[str, str]:
    return {row["path"]: row["state"] for row in home.json("list", "--json")}


def check_told(done: Done, kind: str) -> None:
    """Check the exit code for an unreachable collection, the reason and the advice."""
    text = done.out + done.err
    assert done.code == 5, done
    assert SAYS[kind] in text
    assert "Traceback" not in text
    if kind not in ("500", "network login"):
        assert "collection.endpoint" in text


# Commands.


@every_kind
def test_status_does_not_report_a_wrong_service_as_reachable(
    home: Installation, shelf_server: CollectionServer, kind: str
) -> None:
    home.ok("resync")
    break_into(shelf_server, kind)
    check_told(home.run("status"), kind)
    status = home.status()
    assert not status["in_sync"]
    assert not status["collection"]["reachable"]
    assert SAYS[kind] in status["collection"]["last_error"]


@every_kind
def test_a_resync_reports_a_wrong_service_and_changes_nothing(
    home: Installation, shelf_server: CollectionServer, kind: str
) -> None:
    home.ok("resync")
    (home.pictures / "0.jpg").write_bytes(fake_picture(10))
    (home.pictures / "1.jpg").unlink()
    (home.pictures / "2.jpg").write_bytes(fake_picture(2))
    before = dict(shelf_server.contents)
    break_into(shelf_server, kind)
    check_told(home.run("resync", "--wait", "300ms"), kind)
    done = home.run("resync", "--wait", "300ms", "--dry-run", "--json")
    check_told(done, kind)
    assert json.loads(done.out.splitlines()[-1])["unchanged"] == 0
    assert "failed" not in states(home).values(), "no picture is to blame"
    assert shelf_server.contents == before
    shelf_server.fault_for = lambda _seen: None
    home.ok("resync")
    check_all_there(home, shelf_server)


def check_all_there(home: Installation, shelf_server: CollectionServer) -> None:
    """Check that the collection holds what is on disk."""
    ids = {row["path"]: row["image_id"] for row in home.json("list", "--json")}
    files = {path.name for path in home.pictures.iterdir()}
    assert ids.keys() == files
    assert set(shelf_server.contents) == set(ids.values())
    assert set(states(home).values()) == {"synced"}


# During work.


class Interruptions:
    """Sometimes something else answers a few requests and ignores them. It answers for longer than
    the time between a request and the check who has answered it."""

    def __init__(self, seed: int) -> None:
        self.count = 0
        self._dice = random.Random(f"interruptions {seed}")
        self._kind: str | None = None
        self._left = self._dice.randint(0, 8)

    def fault_for(self, seen: Seen) -> Fault | None:
        if self._left > 0:
            self._left -= 1
        elif self._kind is None:
            self._kind = self._dice.choice(list(NO_COLLECTION))
            self._left = self._dice.randint(0, 5)
            self.count += 1
        elif not seen.path.endswith("/collection"):
            self._kind = None
            self._left = self._dice.randint(1, 8)
        return NO_COLLECTION[self._kind] if self._kind is not None else None


@pytest.mark.parametrize("seed", range(10))
def test_an_answer_from_elsewhere_is_never_accepted(world: World, seed: int) -> None:
    """After any changes to the files, the collection finally holds what is on disk."""
    dice = random.Random(f"people {seed}")
    numbers = iter(range(1000))
    interruptions = Interruptions(seed)
    for number in range(12):
        world.disk.write(f"{number}.jpg", fake_picture(next(numbers)))
    with world.running() as live:
        world.remote.server.fault_for = interruptions.fault_for
        for _ in range(6):
            for _ in range(dice.randint(3, 9)):
                paths = world.disk.paths()
                path = f"{dice.randint(0, 15)}.jpg"
                if not paths or dice.random() < 0.5:
                    world.disk.write(path, fake_picture(next(numbers)))
                elif dice.random() < 0.5:
                    world.disk.remove(dice.choice(paths))
                else:
                    world.disk.rename(dice.choice(paths), path)
            live.settle()
        world.remote.server.fault_for = lambda _seen: None
        # An image may have failed in all of its attempts.
        world.clock.advance(IMAGE_RETRY_SECONDS[0])
        live.settle()
    world.check_mirrored()
    assert interruptions.count > 1


# The service.


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["HTML", "empty", "elsewhere", "404 page", "500"])
def test_a_running_service_waits_for_the_collection_and_fails_no_picture(
    home: Installation, shelf_server: CollectionServer, kind: str
) -> None:
    home.ok("resync")
    with home.running() as service:
        break_into(shelf_server, kind)
        shelf_server.requests.clear()
        for number in range(30):
            (home.pictures / f"new-{number}.jpg").write_bytes(fake_picture(100 + number))
        (home.pictures / "0.jpg").unlink()
        until(lambda: not home.status()["collection"]["reachable"])
        status = home.status()
        assert SAYS[kind] in status["collection"]["last_error"]
        assert not status["in_sync"]
        assert home.run("status").code == 5
        until(lambda: len(states(home)) == 32)
        assert set(states(home).values()) == {"pending", "synced"}
        assert len(shelf_server.requests) < 30
        shelf_server.fault_for = lambda _seen: None
        until(home.is_in_sync, 60.0)
        check_all_there(home, shelf_server)
        said = [line for line in service.lines if " info " not in line]
        assert len(said) == 1, said
