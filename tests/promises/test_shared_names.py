"""Names across machines: what an image is called reaches the other machines, and only if its owner
shares it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from snoopsync import Collection
from tests.support.hosted import Hosted, hosted
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation, until

SIZE = (160, 120)
PICTURE, OTHER_PICTURE = encode(photo(1, SIZE)), encode(photo(2, SIZE))
HOST = gethostname()


@dataclass
class Machine:
    """One machine. Each command is a process of its own."""

    owner: str
    home: Installation
    keys: dict[str, Any]
    log: list[dict[str, Any]] = field(default_factory=list)

    def share(self, *, names: bool) -> None:
        settings = {**self.keys, "owner": self.owner, "share_names": names}
        self.home.configure(f"collection: {json.dumps(settings)}\n{QUICK_SYNC}")

    def resync(self) -> dict[str, Any]:
        """Resync. Returns the summary. ``log`` gets the events."""
        done = self.home.run("--log-format", "json", "resync", "--json")
        assert done.code == 0, done.err
        self.log = [json.loads(line) for line in done.err.splitlines()]
        return dict(json.loads(done.out))

    def events(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self.log if each["event"] == name]

    def labels(self) -> set[str | None]:
        """The labels of this machine's images in the collection."""
        with Collection(**self.keys) as client:
            answers = [client.get_image(each["id"]) for each in client.images()]
        ours = [each for each in answers if each["image_id"].startswith(f"{self.owner}.")]
        return {each.get("label") for each in ours}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Hosted]:
    with hosted(tmp_path / "service") as service:
        yield service


def machine(service: Hosted, directory: Path, owner: str, *, names: bool) -> Machine:
    (directory / owner).mkdir()
    public, secret = service.keys("family")
    keys = {"endpoint": service.endpoint, "public_key": public, "secret_key": secret}
    made = Machine(owner, Installation(directory / owner), keys)
    made.share(names=names)
    return made


@pytest.fixture
def first(service: Hosted, tmp_path: Path) -> Machine:
    """A machine that shares the name of its one picture."""
    first = machine(service, tmp_path, "first", names=True)
    (first.home.pictures / "a.jpg").write_bytes(PICTURE)
    first.resync()
    return first


def label(first: Machine, path: str) -> str:
    return f"{HOST}: {first.home.pictures.name}/{path}"


def test_the_other_machine_sees_what_an_image_is_called(
    service: Hosted, tmp_path: Path, first: Machine
) -> None:
    named = label(first, "a.jpg")
    second = machine(service, tmp_path, "second", names=False)
    (second.home.pictures / "copy.jpg").write_bytes(PICTURE)
    second.resync()
    [alert] = second.events("duplicate")
    assert (alert["match_path"], alert["match_label"]) == (None, named)
    assert f"the same picture as {named} (first." in alert["message"]
    [group] = second.home.json("duplicates", "--json")
    assert {each["label"] for each in group["images"]} == {None, named}
    assert named in second.home.run("duplicates").out
    assert named in second.home.run("duplicates", "--pairs").out
    copy = second.home.pictures / "copy.jpg"
    [found] = second.home.json("search", copy, "--json")
    assert {each.get("label") for each in found["results"]} == {None, named}
    assert named in second.home.run("search", copy).out
    assert second.labels() == {None}


def test_names_of_files_that_are_no_text_are_escaped_on_the_other_machine(
    service: Hosted, tmp_path: Path, first: Machine
) -> None:
    (first.home.pictures / "a.jpg").unlink()
    odd = "x\u202e\n\x1b[31m\udcff.jpg"
    (first.home.pictures / odd).write_bytes(PICTURE)
    first.resync()
    assert first.labels() == {label(first, "x\u202e\ufffd\ufffd[31m\ufffd.jpg")}
    second = machine(service, tmp_path, "second", names=False)
    (second.home.pictures / "copy.jpg").write_bytes(PICTURE)
    second.resync()
    [alert] = second.events("duplicate")
    shown = "x\\u202e\ufffd\ufffd[31m\ufffd.jpg"
    assert shown in alert["message"]
    texts = [alert["message"]] + [
        second.home.run(*command).out
        for command in (
            ("duplicates",),
            ("duplicates", "--pairs"),
            ("search", second.home.pictures / "copy.jpg"),
        )
    ]
    assert all(shown in text and "\u202e" not in text for text in texts)


def test_a_rename_sends_the_new_name_and_no_picture(first: Machine) -> None:
    (first.home.pictures / "a.jpg").rename(first.home.pictures / "b.jpg")
    summary = first.resync()
    assert (summary["renamed"], summary["added"], summary["updated"]) == (1, 0, 0)
    assert [each["count"] for each in first.events("labelled")] == [1]
    assert first.labels() == {label(first, "b.jpg")}
    first.resync()
    assert first.events("labelled") == []


def test_all_names_are_sent_when_they_are_shared_and_removed_when_not(first: Machine) -> None:
    (first.home.pictures / "b.jpg").write_bytes(OTHER_PICTURE)
    for names, expected in (
        (False, {None}),
        (True, {label(first, "a.jpg"), label(first, "b.jpg")}),
        (False, {None}),
    ):
        first.share(names=names)
        summary = first.resync()
        assert summary["updated"] == 0
        assert first.labels() == expected


def test_a_changed_picture_keeps_its_name_and_a_dry_run_sends_none(first: Machine) -> None:
    (first.home.pictures / "a.jpg").write_bytes(OTHER_PICTURE)
    assert first.resync()["updated"] == 1
    assert first.events("labelled") == []
    (first.home.pictures / "a.jpg").rename(first.home.pictures / "b.jpg")
    assert first.home.run("resync", "--dry-run").code == 0
    assert first.labels() == {label(first, "a.jpg")}


def test_names_that_a_lost_state_file_had_shared_are_removed(first: Machine) -> None:
    first.home.state.unlink()
    first.share(names=False)
    assert first.resync()["adopted"] == 1
    assert first.labels() == {None}


@pytest.mark.integration
def test_a_running_service_sends_the_name_after_a_rename_and_a_reload(first: Machine) -> None:
    with first.home.running() as running:
        until(first.home.is_in_sync)
        (first.home.pictures / "a.jpg").rename(first.home.pictures / "b.jpg")
        until(lambda: first.labels() == {label(first, "b.jpg")})
        first.share(names=False)
        running.send(signal.SIGHUP)
        until(lambda: first.labels() == {None})
        assert first.home.is_in_sync()
