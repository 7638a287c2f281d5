"""The report of a resync: each image counts once, and what was not sent is named."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from snoopsync.core.exits import Exit
from snoopsync.core.model import RelPath
from snoopsync.core.tally import ImageOutcome, Tally
from snoopsync.sync.resync_report import Summary
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.world import World, fake_picture
from tests.sync.helpers import adds_up


def test_each_file_is_counted_once(world: World) -> None:
    for number in range(6):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    assert adds_up(world.resync().summary)
    world.disk.rename("0.jpg", "renamed.jpg")
    world.disk.write("2.jpg", fake_picture(12))
    world.disk.write("3.jpg", b"no picture")
    world.disk.remove("4.jpg")
    world.disk.write("new.jpg", fake_picture(13))
    summary = world.resync().summary
    assert adds_up(summary)
    assert (summary.scanned, summary.added, summary.updated) == (6, 1, 1)
    assert (summary.renamed, summary.unchanged) == (1, 2)
    assert (summary.failed, summary.deleted) == (1, 1)


def test_an_image_counts_for_its_first_outcome() -> None:
    tally, rel_path = Tally({"photos"}), RelPath("photos", b"a.jpg")
    tally.note(rel_path, "renamed", ImageOutcome.RENAMED)
    for image_id in ("sent twice", "renamed and sent", "changed since"):
        tally.note(rel_path, image_id, ImageOutcome.RENAMED)
        tally.note(rel_path, image_id, ImageOutcome.UPDATED)
    tally.note(rel_path, "sent twice", ImageOutcome.ADDED)
    tally.note(RelPath("scans", b"a.jpg"), "another folder's", ImageOutcome.ADDED)
    assert tally.done == 4
    counts = tally.end({"changed since"})
    assert counts == {ImageOutcome.ADDED: 1, ImageOutcome.UPDATED: 1, ImageOutcome.RENAMED: 1}
    tally.note(rel_path, "too late", ImageOutcome.ADDED)
    assert tally.done == 0


def test_the_counts_of_one_folder_are_its_own(world: World) -> None:
    scans = world.add_folder("scans")
    world.disk.write("a.jpg", fake_picture(1))
    scans.write("b.jpg", fake_picture(2))
    for number in range(3, 6):
        scans.write(f"{number}.jpg", b"no picture %d" % number)
    world.resync()
    summary = world.resync("photos").summary
    assert (summary.scanned, summary.unchanged, summary.failed) == (1, 1, 0)


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def away(home: Installation) -> None:
    """The collection is a service that does not run."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    home.configure_service(f"http://127.0.0.1:{port}/api/v1", PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY


def test_in_an_outage_one_sentence_has_the_number_of_waiting_files_and_the_cause(
    home: Installation,
) -> None:
    for seed in range(4):
        (home.pictures / f"{seed}.jpg").write_bytes(encode(photo(seed)))
    away(home)
    done = home.run("resync", "--wait", "100ms")
    assert done.code == Exit.UNREACHABLE
    assert "nothing to do" not in done.out
    sentence, *named = done.out.splitlines()
    assert sentence.startswith("incomplete, because the collection failed: ")
    assert "; 4 images scanned, 4 waiting (" in sentence
    assert named == [f"waiting: pictures/{seed}.jpg: not sent yet" for seed in range(4)]


def test_in_an_outage_the_counts_add_up(home: Installation) -> None:
    for seed in range(2):
        (home.pictures / f"{seed}.jpg").write_bytes(encode(photo(seed)))
    away(home)
    done = home.run("resync", "--json", "--wait", "100ms")
    summary = Summary(**json.loads(done.out))
    assert adds_up(summary)
    assert (summary.scanned, summary.failed) == (2, 2)


def test_with_json_unsent_files_are_named_on_standard_error(home: Installation) -> None:
    home.configure()
    (home.pictures / "empty.jpg").write_bytes(b"")
    done = home.run("-qq", "resync", "--json")
    assert done.code == Exit.IMAGES_FAILED
    assert "failed: pictures/empty.jpg: the file is empty" in done.err
