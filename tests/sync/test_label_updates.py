"""Labels are sent after everything else. A label that fails stays due, and affects nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.config.settings import CollectionConfig, Config, FolderConfig
from snoopsync.core.errors import CollectionError, NotFound, Refused, Unauthorized, Unavailable
from snoopsync.core.protocol import ImageAnswer, ImageCollection, ListAnswer
from snoopsync.embedded import EmbeddedCollection
from snoopsync.state.images import Counts
from snoopsync.storage.sqlite.images import SqliteImageStore
from snoopsync.sync.components import Components, Dependencies, open_components, open_state
from snoopsync.sync.resync import ResyncRequest, run_resync
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.pictures import encode, photo
from tests.support.world import Shelf, fake_picture

NAMES = ("a.jpg", "b.jpg", "c.jpg")


class Labelling(EmbeddedCollection):
    """A collection that refuses some labels."""

    def __init__(self, path: Path, refuses: dict[str, CollectionError]) -> None:
        super().__init__(SqliteImageStore(path, lambda: "c"))
        self._refuses = refuses

    def set_label(self, image_id: str, label: str | None) -> ImageAnswer:
        for name, error in self._refuses.items():
            if name in (label or ""):
                raise error
        return super().set_label(image_id, label)


class World:
    """A folder with three pictures, and a collection."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "photos"
        self.folder.mkdir()
        for seed, name in enumerate(NAMES):
            (self.folder / name).write_bytes(encode(photo(seed, (64, 48))))
        self.database = base / "collection.sqlite3"
        self.refuses: dict[str, CollectionError] = {}
        self.host = "nas"
        self.config = Config(
            collection=CollectionConfig(owner="tests"),
            folders=(FolderConfig("photos", self.folder),),
            state=base / "state" / "state.sqlite3",
        )

    def share(self, *, names: bool) -> None:
        collection = replace(self.config.collection, share_names=names)
        self.config = replace(self.config, collection=collection)

    @contextmanager
    def opened(self, shelf: ImageCollection | None = None) -> Iterator[Components]:
        with ExitStack() as stack:
            state = stack.enter_context(closing(open_state(self.config.state)))
            collection = shelf or Labelling(self.database, self.refuses)
            stack.enter_context(closing(collection))
            yield stack.enter_context(
                open_components(
                    self.config,
                    state,
                    collection,
                    stop=threading.Event(),
                    patience_seconds=0.0,
                    dependencies=Dependencies(retry_seconds=0.001, host=self.host),
                )
            )

    def mirror(self, shelf: ImageCollection | None = None) -> None:
        with self.opened(shelf) as components:
            report = run_resync(components.engine, ResyncRequest(["photos"]))
            components.engine.close(5.0)
        assert report.trouble is None

    def send(self) -> None:
        with self.opened() as components:
            components.label_updates.work_off(lambda _seconds: True)

    def due(self) -> int:
        with self.opened() as components:
            return len(components.state.labels.due("", 10))

    def labels(self) -> set[str | None]:
        with closing(Labelling(self.database, {})) as collection:
            return {collection.get_image(each["id"]).get("label") for each in collection.images()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three mirrored pictures, whose names are to be shared."""
    world = World(tmp_path)
    world.mirror()
    assert (world.due(), world.labels()) == (0, {None})
    world.share(names=True)
    return world


def named(*names: str, host: str = "nas") -> set[str]:
    return {f"{host}: photos/{name}" for name in names}


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "snoopsync.labels"]


def test_labels_that_were_interrupted_continue(world: World) -> None:
    for left in (2, 1, 0):
        with world.opened() as components:
            components.label_updates.work_off(lambda _seconds: False)
        assert world.due() == left
    assert world.labels() == named(*NAMES)


def test_new_names_of_the_host_are_sent(world: World) -> None:
    world.send()
    world.host = "attic"
    world.send()
    assert world.labels() == named(*NAMES, host="attic")


def test_an_upload_confirms_its_label(world: World) -> None:
    world.send()
    (world.folder / "d.jpg").write_bytes(encode(photo(7, (64, 48))))
    world.mirror()
    assert (world.due(), world.labels()) == (0, named(*NAMES, "d.jpg"))


def test_a_label_that_is_refused_stays_due_and_keeps_no_other_waiting(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.labels")
    world.refuses["b.jpg"] = Refused("not this one", status=400)
    with world.opened() as components:
        for _ in range(3):
            with pytest.raises(Refused, match="not this one"):
                components.label_updates.work_off(lambda _seconds: True)
        assert components.engine.trouble is None
        assert components.engine.collection.outage is components.search_collection.outage is None
    assert world.due() == 1
    assert messages(caplog) == ["2 labels sent", "400 not this one: labels will be sent later"]
    world.refuses.clear()
    world.send()
    assert world.labels() == named(*NAMES)


def test_a_service_that_is_down_ends_the_pass_and_loses_nothing(world: World) -> None:
    world.refuses["photos"] = Unauthorized("go away", status=403)
    with pytest.raises(Unavailable, match="go away"):
        world.send()
    world.refuses["photos"] = Unavailable("down", status=503)
    with pytest.raises(Unavailable):
        world.send()
    assert (world.due(), world.labels()) == (3, {None})


class _Down(Labelling):
    """A collection that answers nothing. ``labels``: how many labels it was sent."""

    labels = 0

    def set_label(self, image_id: str, label: str | None) -> ImageAnswer:
        self.labels += 1
        raise Unavailable("down", status=503)

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        raise Unavailable("down", status=503)


def test_a_service_that_is_down_gets_one_label_until_it_answers_again(world: World) -> None:
    down = _Down(world.database, {})
    with world.opened(down) as components, pytest.raises(Unavailable, match="down"):
        components.label_updates.work_off(lambda _seconds: True)
    assert down.labels == 1
    world.send()
    assert world.labels() == named(*NAMES)


def test_a_label_that_looks_like_an_outage_keeps_no_other_waiting(world: World) -> None:
    world.refuses["a.jpg"] = Unavailable("bad gateway", status=502)
    with pytest.raises(Unavailable, match="bad gateway"):
        world.send()
    assert world.labels() == {None} | named("b.jpg", "c.jpg")


def test_labels_that_fail_for_another_reason_each_time_cause_a_few_lines(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "snoopsync.labels")
    with world.opened() as components:
        for number in range(20):
            world.refuses["b.jpg"] = Refused(f"not this one, {number}", status=400)
            with pytest.raises(Refused):
                components.label_updates.work_off(lambda _seconds: True)
    *failures, counted = messages(caplog)
    assert len(failures) == 5
    assert counted == "sending labels keeps failing (15 more)"


def test_no_label_is_sent_before_retry_after(world: World) -> None:
    world.refuses["photos"] = Unavailable("later", status=503, retry_after=60.0)
    rests: list[float] = []

    def rest(seconds: float) -> bool:
        rests.append(seconds)
        return True

    with world.opened() as components, pytest.raises(Unavailable):
        components.label_updates.work_off(rest)
    assert rests == []  # the first failure ends the pass


def test_a_service_without_labels_is_noticed_and_mirrored_to(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    for number, name in enumerate(NAMES):
        (world.folder / name).write_bytes(fake_picture(number))
    world.share(names=True)
    with CollectionServer(Shelf()) as server:
        world.mirror(Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint))
        with world.opened(Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)) as components:
            for _ in range(2):
                with pytest.raises(NotFound, match="does not offer labels"):
                    components.label_updates.work_off(lambda _seconds: True)
            assert components.state.counts()["photos"] == Counts(images=3)
            assert len(components.state.labels.due("", 10)) == 3
    assert len(messages(caplog)) == 1


def test_a_refused_method_is_a_call_that_is_not_offered(world: World) -> None:
    world.refuses["photos"] = Refused("not allowed", status=405)
    with pytest.raises(NotFound, match="does not offer labels"):
        world.send()
    assert world.due() == 3


def test_an_image_that_the_collection_lacks_waits_for_the_resync(world: World) -> None:
    with closing(Labelling(world.database, {})) as collection:
        collection.delete_image(next(collection.images())["id"])
    world.send()
    assert (world.due(), len(world.labels())) == (1, 2)
    world.mirror()
    assert (world.due(), world.labels()) == (0, named(*NAMES))


def test_a_file_that_is_renamed_while_its_label_is_sent_gets_the_new_one(world: World) -> None:
    with world.opened() as components:
        labels = components.state.labels
        (image_id, rel_path), *_ = labels.due("", 1)
        (world.folder / rel_path.text).rename(world.folder / "new.jpg")
        run_resync(components.engine, ResyncRequest(["photos"]))
        labels.confirm(image_id, rel_path)
        components.engine.close(5.0)
    assert world.due() == 3
    world.send()
    assert world.labels() == named("new.jpg", *(n for n in NAMES if n != rel_path.text))


def test_renames_without_shared_names_make_no_label_due(world: World) -> None:
    world.share(names=False)
    (world.folder / "a.jpg").rename(world.folder / "new.jpg")
    world.mirror()
    assert world.due() == 0
