"""Two daemons mirror into one ``serve``, as processes: each has its own images, and each finds the
other's duplicates."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from snoopsync.client.collection import Collection
from tests.support.hosted import hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation, Service, until

pytestmark = pytest.mark.integration

#: The daemons ask what the other one added as often as they scan.
SYNC = "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: never, rescan_interval: 10s}\n"


@dataclass(frozen=True, slots=True)
class Machine:
    """One daemon."""

    owner: str
    home: Installation
    collection: Collection

    def ids(self) -> set[str]:
        """Return its images in the collection."""
        every = (image["id"] for image in self.collection.images())
        return {image_id for image_id in every if image_id.startswith(f"{self.owner}.")}

    def write(self, name: str, picture: bytes) -> None:
        (self.home.pictures / name).write_bytes(picture)

    def listed(self) -> dict[str, str]:
        """Return the ID of each of its files."""
        return {each["path"]: each["image_id"] for each in self.home.json("list", "--json")}

    def foreign_duplicates(self) -> set[tuple[str, str]]:
        """Return its files that the other daemon has too, with the ID of the other's image."""
        pairs = self.home.json("duplicates", "--pairs", "--json")
        sides = [(pair["a"], pair["b"]) for pair in pairs]
        sides += [(b, a) for a, b in sides]
        return {(a["path"], b["image_id"]) for a, b in sides if b["path"] is None}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    (tmp_path / "service").mkdir()
    host, data = Installation(tmp_path / "service"), tmp_path / "data"
    with hosted_process(host, data) as (_, endpoint):
        first = machine("first", tmp_path, endpoint, host, data)
        second = machine("second", tmp_path, endpoint, host, data)
        with first.collection, second.collection:
            yield first, second


def machine(name: str, folder: Path, endpoint: str, host: Installation, data: Path) -> Machine:
    (folder / name).mkdir()
    home = Installation(folder / name)
    (key,) = host.json("keys", "add", "family", "--data", data, "--json")
    public, secret = key["public_key"], key["secret_key"]
    keys = {"endpoint": endpoint, "public_key": public, "secret_key": secret, "owner": name}
    home.configure(f"collection: {json.dumps(keys)}\n{SYNC}")
    return Machine(name, home, Collection(public, secret, endpoint))


def in_sync(*machines: Machine) -> Callable[[], bool]:
    return lambda: all(each.home.is_in_sync() for each in machines)


def test_daemons_find_duplicates_of_each_other_and_change_only_their_own_images(
    machines: tuple[Machine, Machine],
) -> None:
    first, second = machines
    first.write("beach.jpg", encode(photo(0)))
    first.write("mountain.jpg", encode(photo(1)))
    second.write("strand.webp", encode(photo(0, (200, 150)), "WEBP"))
    second.write("town.jpg", encode(photo(2)))
    with first.home.running(), second.home.running():
        until(in_sync(first, second))
        until(lambda: first.foreign_duplicates() | second.foreign_duplicates())
        mine, theirs = first.listed(), second.listed()
        assert (first.ids(), second.ids()) == (set(mine.values()), set(theirs.values()))
        # The later of the two finds the pair.
        assert (first.foreign_duplicates() | second.foreign_duplicates()) <= {
            ("beach.jpg", theirs["strand.webp"]),
            ("strand.webp", mine["beach.jpg"]),
        }
        first.write("stadt.jpg", encode(photo(2)))
        until(lambda: ("stadt.jpg", theirs["town.jpg"]) in first.foreign_duplicates())
        (second.home.pictures / "strand.webp").unlink()
        second.write("town.jpg", encode(photo(3)))
        until(lambda: second.ids() == {theirs["town.jpg"]})
        until(in_sync(first, second))
        assert first.ids() == {*mine.values(), first.listed()["stadt.jpg"]}
    for each in (first, second):
        before = ids_of_both(machines)
        (summary,) = each.home.json("resync", "--prune", "--json")
        assert changes(summary) == {}
        assert ids_of_both(machines) == before


def alerts(service: Service) -> list[str]:
    return [line for line in service.lines if "duplicate:" in line]


def test_both_daemons_are_alerted_about_a_copy_that_one_of_them_adds_each_once(
    machines: tuple[Machine, Machine],
) -> None:
    first, second = machines
    first.write("beach.jpg", encode(photo(0)))
    first.write("town.jpg", encode(photo(1)))
    with first.home.running() as here, second.home.running() as there:
        until(lambda: in_sync(first)() and first.home.status()["to_compare"] == 0)
        second.write("strand.jpg", encode(photo(0), quality=50))
        assert first.listed()["beach.jpg"] in there.line_with("duplicate:")
        line = here.line_with("duplicate:")
        assert second.listed()["strand.jpg"] in line
    with first.home.running() as here, second.home.running() as there:
        second.write("stadt.jpg", encode(photo(1), quality=50))
        there.line_with("duplicate:")
        line = here.line_with("duplicate:")
        assert second.listed()["stadt.jpg"] in line
        assert len(alerts(here)) == len(alerts(there)) == 1


def ids_of_both(machines: tuple[Machine, Machine]) -> list[set[str]]:
    return [each.ids() for each in machines]


def changes(summary: dict[str, Any]) -> dict[str, int]:
    verbs = ("added", "updated", "deleted", "renamed", "adopted", "failed", "held")
    return {verb: summary[verb] for verb in verbs if summary[verb]}
