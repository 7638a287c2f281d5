"""Two machines with one collection: both are alerted about a pair, each once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.hosted import Hosted, hosted
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation

SIZE = (160, 120)
PICTURE = encode(photo(1, SIZE))
OTHER_PICTURE = encode(photo(2, SIZE))


def altered(quality: int) -> bytes:
    """The picture in another file."""
    return encode(photo(1, SIZE), quality=quality)


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine. Each ``resync`` is a process of its own."""

    owner: str
    home: Installation

    def write(self, name: str, picture: bytes) -> None:
        (self.home.pictures / name).write_bytes(picture)

    def resync(self) -> list[tuple[str, str]]:
        """Returns the alerts: the path of each, and the path or the ID of its match."""
        return [(each["path"], each["match_path"] or each["match_id"]) for each in self.alerts()]

    def alerts(self) -> list[dict[str, Any]]:
        """Resync. Returns the alerts."""
        done = self.home.run("--log-format", "json", "resync")
        assert done.code == 0, done.err
        records = [json.loads(line) for line in done.err.splitlines()]
        return [each for each in records if each["event"] == "duplicate"]

    def id_of(self, name: str) -> str:
        return next(
            str(each["image_id"])
            for each in self.home.json("list", "--json")
            if each["path"] == name
        )


def machine(service: Hosted, directory: Path, owner: str) -> Machine:
    (directory / owner).mkdir()
    home = Installation(directory / owner)
    public, secret = service.keys("family")
    keys = {"endpoint": service.endpoint, "public_key": public, "secret_key": secret}
    home.configure(f"collection: {json.dumps({**keys, 'owner': owner})}\n{QUICK_SYNC}")
    return Machine(owner, home)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    with hosted(tmp_path / "service") as service:
        yield machine(service, tmp_path, "first"), machine(service, tmp_path, "second")


@pytest.mark.parametrize("copy", [PICTURE, altered(40)], ids=["identical", "reencoded"])
def test_both_machines_are_alerted_once_about_a_copy_that_one_of_them_adds(
    machines: tuple[Machine, Machine], copy: bytes
) -> None:
    first, second = machines
    first.write("a.jpg", PICTURE)
    first.write("other.jpg", OTHER_PICTURE)
    assert first.resync() == []
    second.write("copy.jpg", copy)
    assert second.resync() == [("copy.jpg", first.id_of("a.jpg"))]
    [alert] = first.alerts()
    assert (alert["path"], alert["match_id"]) == ("a.jpg", second.id_of("copy.jpg"))
    assert (alert["match_path"], alert["others"]) == (None, 0)
    assert alert["kind"] == ("identical" if copy == PICTURE else "reencoded")
    assert alert["keep"] == first.id_of("a.jpg")
    for each in (first, second, first, second):
        assert each.resync() == []
    [pair] = first.home.json("duplicates", "--pairs", "--json")
    sides = {pair["a"]["image_id"], pair["b"]["image_id"]}
    assert sides == {first.id_of("a.jpg"), second.id_of("copy.jpg")}
    assert (pair["a"]["width"], pair["b"]["width"]) == (SIZE[0], SIZE[0])


def test_an_image_that_was_alerted_before_is_alerted_with_each_new_copy(
    machines: tuple[Machine, Machine],
) -> None:
    first, second = machines
    first.write("a.jpg", PICTURE)
    first.write("b.jpg", PICTURE)
    assert len(first.resync()) == 1
    for name, copy in (("c.jpg", PICTURE), ("d.jpg", altered(60)), ("e.jpg", altered(60))):
        second.write(name, copy)
        second.resync()
        [(path, match)] = first.resync()
        assert (path in {"a.jpg", "b.jpg"}, match) == (True, second.id_of(name))
        assert first.resync() == []


def test_copies_that_arrive_together_give_one_alert(machines: tuple[Machine, Machine]) -> None:
    first, second = machines
    first.write("a.jpg", PICTURE)
    assert first.resync() == []
    for quality in (30, 40, 50):
        second.write(f"{quality}.jpg", altered(quality))
        second.write(f"{quality} again.jpg", altered(quality))
    second.resync()
    [alert] = first.alerts()
    assert (alert["path"], alert["others"]) == ("a.jpg", 5)
    assert first.resync() == []


def test_a_picture_that_is_like_two_unlike_images_of_ours_is_alerted_once(
    machines: tuple[Machine, Machine],
) -> None:
    left, right = photo(1), photo(2)
    first, second = machines
    first.write("left.jpg", encode(left))
    first.write("right.jpg", encode(right))
    assert first.resync() == []
    collage = Image.new("RGB", (640, 240))
    collage.paste(left, (0, 0))
    collage.paste(right, (320, 0))
    second.write("collage.jpg", encode(collage))
    second.resync()
    [alert] = first.alerts()
    assert (alert["match_id"], alert["others"]) == (second.id_of("collage.jpg"), 1)
    assert first.resync() == []
    [group] = first.home.json("duplicates", "--json")
    assert len(group["images"]) == 3


def test_a_machine_that_finds_old_copies_itself_is_not_alerted_again(
    machines: tuple[Machine, Machine],
) -> None:
    first, second = machines
    second.write("copy.jpg", altered(40))
    second.write("again.jpg", altered(40))
    second.resync()
    first.write("a.jpg", PICTURE)
    assert len(first.resync()) == 1
    assert first.resync() == []
    [(_, match)] = second.resync()
    assert match == first.id_of("a.jpg")
    assert second.resync() == []


def test_a_dismissed_pair_is_not_alerted_when_the_other_machine_sends_it_again(
    machines: tuple[Machine, Machine],
) -> None:
    first, second = machines
    first.write("a.jpg", PICTURE)
    first.resync()
    second.write("copy.jpg", altered(40))
    second.resync()
    assert len(first.resync()) == 1
    first.home.ok("duplicates", "dismiss", first.id_of("a.jpg"), second.id_of("copy.jpg"))
    for data in (OTHER_PICTURE, altered(40)):
        second.write("copy.jpg", data)
        second.resync()
    assert first.resync() == []
    assert first.home.json("duplicates", "--json") == []


def test_a_copy_that_was_removed_before_we_asked_is_not_alerted(
    machines: tuple[Machine, Machine],
) -> None:
    first, second = machines
    first.write("a.jpg", PICTURE)
    first.resync()
    second.write("other.jpg", OTHER_PICTURE)
    second.write("copy.jpg", altered(40))
    second.resync()
    (second.home.pictures / "copy.jpg").unlink()
    second.resync()
    assert first.resync() == []
