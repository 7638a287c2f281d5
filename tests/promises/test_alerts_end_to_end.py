"""Duplicates, from the file on the disk to the line in the log, with real pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from snoopsync.cli.exit_codes import of_resync
from snoopsync.embedded import open_embedded
from snoopsync.state.decisions import Dismissal, Member
from tests.support.faults import answers
from tests.support.pictures import encode, photo
from tests.support.world import ServedWorld, World

SIZE = (160, 120)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With the embedded collection behind the server."""
    collection = open_embedded(tmp_path / "collection" / "collection.sqlite3")
    with ServedWorld(tmp_path, collection) as world:
        yield world
    collection.close()


@pytest.fixture
def alerts(caplog: pytest.LogCaptureFixture) -> Callable[[], list[set[str]]]:
    """The alerts since the last call, each as the paths that it names."""

    def take() -> list[set[str]]:
        records = [record for record in caplog.records if record.name == "snoopsync.duplicates"]
        caplog.clear()
        for record in records:
            assert record.levelname == "WARNING"
            for key in ("path", "match_path"):
                assert str(record.fields[key]) in record.getMessage()  # type: ignore[attr-defined]
        return [
            {record.fields["path"], record.fields["match_path"]}  # type: ignore[attr-defined]
            for record in records
        ]

    return take


Alerts = Callable[[], list[set[str]]]


def test_a_copy_is_alerted_once_naming_both_paths(world: World, alerts: Alerts) -> None:
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(2, SIZE)))
    world.resync()
    assert alerts() == []

    world.disk.copy("a.jpg", "copies/a.jpg")
    world.resync()
    assert alerts() == [{"a.jpg", "copies/a.jpg"}]
    for _ in range(2):
        world.resync()
        with world.running() as live:
            live.rest()
            live.components.duplicate_search.work_off(live.stop.is_set)
    assert alerts() == []


@pytest.mark.parametrize(
    "alter",
    [
        lambda image: encode(image.resize((80, 60))),
        lambda image: encode(image, quality=30),
        lambda image: encode(image, "PNG"),
        lambda image: encode(image.transpose(Image.Transpose.ROTATE_90)),
        lambda image: encode(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    ],
    ids=["resized", "compressed", "converted", "turned", "mirrored"],
)
def test_an_altered_copy_is_alerted(
    world: World, alerts: Alerts, alter: Callable[[Image.Image], bytes]
) -> None:
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(2, SIZE)))
    world.disk.write("altered.jpg", alter(photo(1, SIZE)))
    world.resync()
    assert alerts() == [{"a.jpg", "altered.jpg"}]


def test_three_new_copies_give_one_alert(world: World, alerts: Alerts) -> None:
    for name in ("a", "b", "c"):
        world.disk.write(f"{name}.jpg", encode(photo(1, SIZE)))
    world.resync()
    assert len(alerts()) == 1
    world.disk.write("d.jpg", encode(photo(1, SIZE)))
    world.resync()
    [alert] = alerts()
    assert "d.jpg" in alert


def test_pairs_across_folders_are_found(world: World, alerts: Alerts) -> None:
    scans = world.add_folder("scans")
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    scans.write("b.jpg", encode(photo(1, SIZE)))
    world.resync()
    assert alerts() == [{"a.jpg", "b.jpg"}]


def test_a_dismissed_pair_is_never_alerted_again(world: World, alerts: Alerts) -> None:
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(1, SIZE)))
    world.resync()
    alerts()
    with world.running(reconcile=False) as live:
        contents = world.mirrored()
        members = [
            Member(world.id_of(name), bytes.fromhex(contents[f"photos/{name}"] or ""))
            for name in ("a.jpg", "b.jpg")
        ]
        live.components.state.decisions.dismiss([Dismissal(tuple(members))], 1.0)
    world.disk.write("b.jpg", encode(photo(1, SIZE), quality=40))
    world.resync()
    world.disk.write("b.jpg", encode(photo(2, SIZE)))
    world.resync()
    world.disk.write("b.jpg", encode(photo(1, SIZE)))
    world.resync()
    assert alerts() == []


def test_a_changed_file_is_searched_for_again(world: World, alerts: Alerts) -> None:
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(2, SIZE)))
    world.disk.write("c.jpg", encode(photo(3, SIZE)))
    world.resync()
    world.disk.write("c.jpg", encode(photo(2, SIZE)))
    world.resync()
    assert alerts() == [{"b.jpg", "c.jpg"}]
    world.disk.write("c.jpg", encode(photo(1, SIZE)))
    world.resync()
    assert alerts() == [{"a.jpg", "c.jpg"}]
    states = {duplicate.state for duplicate in world.duplicates_known()}
    assert {state.value for state in states} == {"open", "gone"}


def test_a_renamed_picture_is_not_alerted_again(world: World, alerts: Alerts) -> None:
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(1, SIZE)))
    world.resync()
    alerts()
    world.disk.rename("b.jpg", "z.jpg")
    world.resync()
    assert alerts() == []
    [duplicate] = world.duplicates_known()
    rel_paths = {duplicate.a.rel_path, duplicate.b.rel_path}
    assert {rel_path.text for rel_path in rel_paths if rel_path} == {"a.jpg", "z.jpg"}


def test_a_pair_whose_file_was_removed_is_gone(world: World, alerts: Alerts) -> None:
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(1, SIZE)))
    world.resync()
    world.disk.remove("b.jpg")
    world.resync()
    [duplicate] = world.duplicates_known()
    assert duplicate.state == "gone"


def test_a_failed_search_is_retried_and_delays_no_image(world: World, alerts: Alerts) -> None:
    world.remote.server.fault_for = lambda seen: answers(500) if "/search/" in seen.path else None
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(1, SIZE)))
    assert of_resync(world.resync()) == 0
    world.check_mirrored()
    assert alerts() == []

    world.remote.server.fault_for = lambda seen: None
    world.resync()
    assert alerts() == [{"a.jpg", "b.jpg"}]


def test_a_refused_search_delays_no_other(world: World, alerts: Alerts) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 2)):
        world.disk.write(f"{name}.jpg", encode(photo(seed, SIZE)))
    with world.running():
        pass
    refused = f"/search/{world.id_of('a.jpg')}"
    world.remote.server.fault_for = lambda seen: (
        answers(400) if seen.path.endswith(refused) else None
    )
    world.resync()
    assert alerts() == [{"b.jpg", "c.jpg"}]


def test_an_alert_that_a_crash_cut_short_is_given_after_the_restart(
    world: World, alerts: Alerts
) -> None:
    world.disk.write("a.jpg", encode(photo(1, SIZE)))
    world.disk.write("b.jpg", encode(photo(1, SIZE)))
    with world.running_until_it_crashes() as live:
        live.reconcile()
    assert alerts() == []
    world.resync()
    assert alerts() == [{"a.jpg", "b.jpg"}]


def test_unlike_pictures_are_not_alerted(world: World, alerts: Alerts) -> None:
    for seed in range(12):
        world.disk.write(f"{seed}.jpg", encode(photo(seed, SIZE)))
    world.resync()
    assert alerts() == []
