"""Services with odd listings: one changes while it is read, ignores its parameters, repeats or
omits images, or never ends. No image in the collection is treated as missing, sent again or
deleted, no listing is read for ever, and the collection finally holds what is on disk.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable, Iterator

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.client.paging import ListingLimits
from snoopsync.core.exits import Exit
from snoopsync.core.protocol import ListAnswer
from snoopsync.runtime.workers import Workers
from snoopsync.status.reading import read_status
from snoopsync.sync.components import Dependencies
from tests.support.collection_server import CollectionServer, Seen
from tests.support.faults import Reply, as_json
from tests.support.odd_listings import (
    OddListing,
    ever_new_images,
    ever_new_starts,
    one_page_for_ever,
    page,
)
from tests.support.process import Installation, until
from tests.support.serving import serving, the_service_says
from tests.support.world import OWNER, Live, ToldWatcher, World, fake_picture

pytestmark = pytest.mark.integration

#: A listing of some fifty images with more pages is endless.
MOST_PAGES = 1000


class RequestChecker:
    """Checks every request. ``wrong`` has the requests that must not be sent."""

    def __init__(self, shelf_server: CollectionServer, on_disk: Callable[[], set[str]]) -> None:
        self.wrong: list[str] = []
        self._server = shelf_server
        self._on_disk = on_disk

    def check(self, seen: Seen) -> None:
        """For ``CollectionServer.fault_for``."""
        image_id, contents = seen.image_id or "", self._server.contents
        if seen.method == "DELETE" and contents.get(image_id) in self._on_disk():
            self.wrong.append(f"deleted what is on the disk: {image_id}")
        if seen.method in ("POST", "PUT") and "/image/" in seen.path:
            if contents.get(image_id) == seen.sha256:
                self.wrong.append(f"sent what is there: {image_id}")
            elif seen.sha256 in contents.values():
                self.wrong.append(f"a second image: {image_id}")


# Random histories.


class Neighbours:
    """Other clients of the collection, which add and remove images, and sometimes remove one of
    ours."""

    def __init__(self, world: World, dice: random.Random, rate: float) -> None:
        self.theirs: dict[str, int] = {}
        self._world = world
        self._dice = dice
        self._rate = rate
        self._numbers = iter(range(10_000, 20_000))
        for _ in range(20):
            self._add()

    def _add(self) -> None:
        number = next(self._numbers)
        self.theirs[f"somebody.{number}"] = number
        self._world.remote.add(f"somebody.{number}", fake_picture(number))

    def stir(self) -> None:
        """Add or remove an image, or do nothing."""
        if self._dice.random() > self._rate:
            return
        if self._dice.random() < 0.5 or not self.theirs:
            self._add()
        else:
            gone = self._dice.choice(sorted(self.theirs))
            self._world.remote.remove(gone)
            del self.theirs[gone]

    def rob(self) -> None:
        """Remove one of ours."""
        if ours := sorted(self._world.remote.digests()):
            self._world.remote.remove(self._dice.choice(ours))


def odd_listing(world: World, dice: random.Random) -> OddListing:
    """Make the server's listing odd in random ways."""
    size = dice.choice((1, 3, 7, 1000))
    listing = OddListing(
        world.remote.server,
        dice,
        size=size,
        repeats=dice.choice((0.0, 0.3, 0.7)),
        dangles=dice.choice((0.0, 0.1)) if size > 3 else 0.0,
        hides=dice.choice((0.0, 0.1, 1.0)),
        unknown_start=dice.choice((400, 404, 410)),
    )
    world.remote.server.get_page = listing
    return listing


def act(world: World, dice: random.Random, numbers: Iterator[int]) -> None:
    """Change a random file. Nothing is renamed to the path of another picture, present or past:
    that picture's image would get the bytes, and the other image would be deleted."""
    paths = world.disk.paths()
    new = f"{dice.choice(('', 'x/', 'y/'))}{dice.randint(0, 9)}.jpg"
    match dice.choice(("write", "write", "replace", "remove", "rename", "rename")):
        case "write":
            world.disk.write(new, fake_picture(next(numbers)))
        case "replace" if paths:
            world.disk.replace(dice.choice(paths), fake_picture(next(numbers)))
        case "remove" if len(paths) > 3:
            world.disk.remove(dice.choice(paths))
        case "rename" if paths:
            world.disk.rename(dice.choice(paths), f"renamed/{next(numbers)}.jpg")


@pytest.mark.parametrize("seed", range(16))
def test_an_odd_listing_does_not_prevent_a_correct_mirror(world: World, seed: int) -> None:
    dice = random.Random(f"odd listings {seed}")
    numbers = iter(range(10_000))
    neighbours = Neighbours(world, dice, dice.choice((0.0, 0.2, 0.8)))
    listing = odd_listing(world, dice)
    listing.meanwhile = neighbours.stir
    checker = RequestChecker(world.remote.server, lambda: set(world.on_disk().values()))
    world.remote.server.fault_for = checker.check
    for _ in range(12):
        act(world, dice, numbers)
    assert world.resync().trouble is None
    for _ in range(6):
        for _ in range(dice.randint(0, 5)):
            act(world, dice, numbers)
        if dice.random() < 0.3:
            neighbours.rob()
        listing.pages = 0
        if dice.random() < 0.5:
            assert world.resync().trouble is None
        else:
            with world.running() as live:
                act(world, dice, numbers)
                live.settle()
        assert checker.wrong == []
        assert 0 < listing.pages < MOST_PAGES
        world.check_mirrored()
        assert neighbours.theirs.keys() == world.remote.ids() - world.remote.digests().keys()


# The whole daemon.

ODD: dict[str, dict[str, float]] = {
    "no notice of count": {"size": 1},
    "everything at once": {"size": 1000},
    "pages twice": {"repeats": 0.5},
    "next page gone": {"dangles": 0.1},
    "some hidden": {"hides": 0.5},
    "all hidden": {"hides": 1.0},
}


def digests(shelf_home: Installation) -> set[str]:
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in shelf_home.pictures.iterdir()}


@pytest.mark.parametrize("kind", list(ODD))
def test_commands_and_the_service_work_with_an_odd_listing(
    shelf_home: Installation, shelf_server: CollectionServer, kind: str
) -> None:
    def write(*numbers: int) -> None:
        for number in numbers:
            (shelf_home.pictures / f"{number}.jpg").write_bytes(fake_picture(number))

    shelf_server.get_page = OddListing(shelf_server, random.Random(kind), **ODD[kind])  # type: ignore[arg-type]  # a size is an int
    checker = RequestChecker(shelf_server, lambda: digests(shelf_home))
    shelf_server.fault_for = checker.check
    write(*range(10))
    assert shelf_home.run_process("resync").code == 0
    assert shelf_home.json("resync", "--json")[0]["unchanged"] == 10
    with shelf_home.running():
        write(10, 11)
        (shelf_home.pictures / "0.jpg").unlink()
        (shelf_home.pictures / "1.jpg").rename(shelf_home.pictures / "moved.jpg")
        until(lambda: set(shelf_server.contents.values()) == digests(shelf_home))
        until(shelf_home.is_in_sync)
        assert shelf_home.json("resync", "--json")[0]["unchanged"] == 11
    assert checker.wrong == []
    assert sorted(shelf_server.contents.values()) == sorted(digests(shelf_home))


# Odd IDs.

#: No request can name these IDs.
IMPOSSIBLE_IDS = ("", "tests." + "x" * 100, "tests.\ud800", "\udcff")
#: These are valid IDs. The first one is ours and has no file.
ODD_IDS = (
    "tests.forged\nline\x1b[31m",
    "forged\n2026-01-01 error \x1b[2J",
    "nul\0",
    "\U0001f4f7",
    "..",
)


def is_printable(text: str) -> bool:
    return all(line.isprintable() for line in text.replace("\t", " ").split("\n"))


def test_odd_ids_in_a_listing_do_not_stop_the_comparison(
    shelf_home: Installation, shelf_server: CollectionServer
) -> None:
    for number in range(3):
        (shelf_home.pictures / f"{number}.jpg").write_bytes(fake_picture(number))
    for number, image_id in enumerate(ODD_IDS):
        shelf_server.collection.add_image(io.BytesIO(fake_picture(100 + number)), image_id)

    def get_page(_start: str | None, _count: int | None) -> ListAnswer:
        there = [image["id"] for image in shelf_server.collection.get_images(None, 1000)["images"]]
        return page([*IMPOSSIBLE_IDS, *there, *there], "")

    shelf_server.get_page = get_page
    shelf_home.ok("resync")
    checker = RequestChecker(shelf_server, lambda: digests(shelf_home))
    shelf_server.fault_for = checker.check
    shelf_server.requests.clear()
    assert shelf_home.json("resync", "--json")[0]["unchanged"] == 3
    assert {seen.method for seen in shelf_server.requests} == {"GET"}

    rehearsed = shelf_home.ok("resync", "--prune", "--dry-run")
    assert is_printable(rehearsed)
    assert len(rehearsed.splitlines()) == 2, "one to be deleted, and the sum"
    done = shelf_home.run("-v", "resync", "--prune")
    assert done.code == 0
    assert is_printable(done.out + done.err)
    assert [seen.image_id for seen in shelf_server.sent("DELETE")] == [ODD_IDS[0]]
    assert checker.wrong == []


def test_odd_matches_stop_no_service_and_forge_no_log_line(
    shelf_home: Installation, shelf_server: CollectionServer
) -> None:
    matches = [(each, 1) for each in (*IMPOSSIBLE_IDS, *ODD_IDS)]
    results = [{"id": image_id, "rank": rank} for image_id, rank in (*matches, ("far", 10**40))]
    shelf_server.fault_for = lambda seen: (
        as_json({"results": results}) if "/search" in seen.path else None
    )
    (shelf_home.pictures / "a.jpg").write_bytes(fake_picture(1))
    with shelf_home.running() as service:
        until(lambda: len(shelf_home.json("duplicates", "--pairs", "--json")) == len(ODD_IDS))
        # Groups are stored before they are announced.
        until(lambda: sum("duplicate:" in line for line in service.lines) == 1)
        assert is_printable("\n".join(service.lines))
        (shelf_home.pictures / "b.jpg").write_bytes(fake_picture(2))
        service.line_with("added pictures/b.jpg")
    for command in (["duplicates"], ["search", "pictures/a.jpg"]):
        shown = shelf_home.ok(*command)
        assert is_printable(shown)
        assert "far" not in shown or command[0] == "search"


@pytest.mark.parametrize("key", ["image_time", "message", "collection_id"])
def test_an_answer_with_invalid_text_stops_no_service(
    shelf_home: Installation, shelf_server: CollectionServer, key: str
) -> None:
    def without_text(do: Callable[[], Reply]) -> Reply:
        reply = do()
        return Reply(reply.status, json.dumps({**json.loads(reply.body), key: "\ud800"}).encode())

    with shelf_home.running() as service:
        shelf_server.fault_for = lambda seen: without_text if "/image/" in seen.path else None
        shelf_server.requests.clear()
        (shelf_home.pictures / "a.jpg").write_bytes(fake_picture(1))
        until(lambda: shelf_server.sent("POST"))
        until(lambda: key == "message" or not shelf_home.status()["collection"]["reachable"])
        shelf_server.fault_for = lambda _seen: None
        until(shelf_home.is_in_sync, 60.0)
        assert is_printable("\n".join(service.lines))
        assert service.end() == 0


# Endless listings.


def fill(world: World, count: int = 5) -> None:
    for number in range(count):
        world.disk.write(f"{number}.jpg", fake_picture(number))


def dangling(world: World) -> OddListing:
    """Make each page lead to an image that does not exist."""
    return OddListing(world.remote.server, random.Random(0), dangles=1.0)


LIMITS = ListingLimits(images=20_000, unknown_images=5000)

ENDLESS: dict[str, tuple[Callable[[World], object], str]] = {
    "one page": (lambda world: one_page_for_ever(sorted(world.remote.ids())), "has no end"),
    "new starts": (lambda world: ever_new_starts(sorted(world.remote.ids())), "has no end"),
    "new images": (lambda _world: ever_new_images(1000), "has no end after 21000"),
    "new images of ours": (lambda _world: ever_new_images(1000, OWNER), "more than 5000 images"),
    "large pages": (lambda _world: ever_new_images(1001), "more than the 1000 images"),
    "dangling": (dangling, "keeps leading to an image that is not in"),
}


@pytest.fixture(params=list(ENDLESS))
def endless(request: pytest.FixtureRequest, world: World) -> Callable[[], str]:
    """Return a function that makes the listing endless, and returns a part of the error."""
    world.listing_limits = LIMITS
    make, says = ENDLESS[request.param]

    def begin() -> str:
        world.remote.server.get_page = make(world)  # type: ignore[assignment]  # one of several
        return says

    return begin


def test_an_endless_listing_is_reported_and_not_compared(
    world: World, endless: Callable[[], str]
) -> None:
    fill(world)
    world.resync()
    says = endless()
    world.remote.forget_requests()
    world.disk.write("5.jpg", fake_picture(5))
    world.disk.remove("0.jpg")
    report = world.resync()
    assert of_resync(report) is Exit.UNREACHABLE
    assert says in (report.trouble or "")
    assert report.summary.unchanged == 0
    assert len(world.remote.server.requests) < 100
    assert world.remote.changes() == []
    world.remote.server.get_page = None
    assert world.resync().trouble is None
    world.check_mirrored()


def test_changes_are_mirrored_without_a_listing(world: World, endless: Callable[[], str]) -> None:
    """The state file knows the images in the collection."""
    fill(world)
    world.resync()
    says = endless()
    with world.running(reconcile=False) as live:
        assert says in (live.reconcile().trouble or "")
        change_and_settle(world, live)
    world.check_mirrored()


def test_a_service_reports_an_unreadable_listing_until_it_is_readable(
    world: World, endless: Callable[[], str]
) -> None:
    """The daemon sends nothing before it knows the images in the collection."""
    fill(world)
    theirs = {f"somebody.{number}": 100 + number for number in range(5)}
    for image_id, number in theirs.items():
        world.remote.add(image_id, fake_picture(number))
    says = endless()
    dependencies = Dependencies(world.clock, make_workers=Workers, listing_limits=LIMITS)
    with serving(world, ToldWatcher(), dependencies=dependencies):
        until(lambda: says in (read_status(world.config).collection.last_error or ""))
        status = read_status(world.config)
        assert says in " ".join(status.reasons())
        assert not status.as_message()["in_sync"]
        assert world.remote.ids() == theirs.keys()
        world.remote.server.get_page = None
        until(lambda: the_service_says(world, Exit.OK))
        assert read_status(world.config).collection.last_error is None
    world.check_mirrored()


def change_and_settle(world: World, live: Live) -> None:
    world.disk.write("1.jpg", fake_picture(11))
    world.disk.write("5.jpg", fake_picture(5))
    world.disk.rename("2.jpg", "x/2.jpg")
    world.disk.remove("0.jpg")
    live.settle()
