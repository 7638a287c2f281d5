"""A new version of the collection describes pictures in another way: the service has all of them
described again, and nobody notices."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from snoopsync.config.settings import CollectionConfig, Config, FolderConfig
from snoopsync.core.duplicates import Findings, FoundImage
from snoopsync.core.errors import NotFound, Refused, Unavailable
from snoopsync.core.protocol import ImageAnswer, ImageCollection, ImageSource
from snoopsync.decoding.features import Features
from snoopsync.decoding.source import PictureFile
from snoopsync.embedded import EmbeddedCollection, open_embedded
from snoopsync.state.database import Database
from snoopsync.state.pairs import Duplicate, Pairs
from snoopsync.state.searches import Due, SearchResult
from snoopsync.storage.sqlite.images import SqliteImageStore
from snoopsync.sync.components import Components, Dependencies, open_components, open_state
from snoopsync.sync.resync import ResyncRequest, run_resync
from tests.embedded.helpers import make_outdated
from tests.support.hosted import hosted
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.world import Shelf

COLLECTION = Path("state/snoopsync/collection/collection.sqlite3")
SIZE = (240, 180)


def write_pictures(folder: Path) -> None:
    """Four unlike pictures, and a re-save of the first."""
    for seed in range(4):
        (folder / f"{seed}.jpg").write_bytes(encode(photo(seed, SIZE), quality=90))
    (folder / "copy.jpg").write_bytes(encode(photo(0, SIZE), quality=40))


def listed(database: Path) -> list[tuple[str, str]]:
    """IDs and times of all images, the newest first."""
    with closing(open_embedded(database)) as collection:
        return [(image["id"], image["image_time"]) for image in collection.images()]


def count_outdated(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM image WHERE feed < 2").fetchone()
    return int(count)


def alerts(log: str) -> list[str]:
    return [line for line in log.splitlines() if "duplicate:" in line]


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """Pictures that the version before has mirrored, and told of."""
    home = Installation(tmp_path)
    home.configure()
    write_pictures(home.pictures)
    done = home.run("resync")
    assert (done.code, len(alerts(done.err))) == (0, 1)
    make_outdated(home.home / COLLECTION)
    return home


def is_renewed(home: Installation, database: Path) -> Callable[[], bool]:
    """Is all described again, and searched for again?"""

    def look() -> bool:
        with closing(sqlite3.connect(home.state)) as state:
            due = state.execute("SELECT 1 FROM image WHERE search_due").fetchone()
            under_way = state.execute(
                "SELECT 1 FROM fact WHERE name = 'renewal' AND value <> ''"
            ).fetchone()
        return not (count_outdated(database) or due or under_way)

    return look


@pytest.mark.integration
def test_an_upgraded_installation_describes_all_pictures_again(home: Installation) -> None:
    database = home.home / COLLECTION
    before, pair = listed(database), home.json("duplicates", "--json")
    make_outdated(database, *(image_id for image_id, _ in before))
    assert home.status()["to_renew"] == 5
    with home.running() as service:
        until(is_renewed(home, database))
        until(lambda: "to_renew" not in home.status())
        assert home.is_in_sync()
    log = "\n".join(service.lines)
    assert "5 are sent again" in log and "5 pictures described again, 0 left" in log
    assert alerts(log) == []
    assert listed(database) == before
    [again] = home.json("duplicates", "--json")
    assert again["found_at"] == pair[0]["found_at"]
    assert again["reason"] == "less-compressed"


def test_a_resync_describes_all_outdated_images_again_and_the_next_one_has_none(
    home: Installation,
) -> None:
    database = home.home / COLLECTION
    before = listed(database)
    make_outdated(database, *(image_id for image_id, _ in before))
    done = home.run("resync")
    assert done.code == 0 and alerts(done.err) == []
    assert count_outdated(database) == 0
    assert listed(database) == before
    assert "described again" not in home.run("resync").err


@pytest.mark.integration
def test_a_hosted_collection_gets_the_pictures_again(tmp_path: Path) -> None:
    home, data = Installation(tmp_path), tmp_path / "data"
    write_pictures(home.pictures)
    with hosted(data) as service:
        public, secret = service.keys("family")
        home.configure_keys(service.endpoint, public, secret)
        assert home.run("resync").code == 0
    [database] = collection_files(data)
    before = listed(database)
    make_outdated(database, *(image_id for image_id, _ in before))
    with hosted(data) as service:
        home.configure_keys(service.endpoint, public, secret)
        assert home.status()["to_renew"] == 5
        with home.running() as running:
            until(is_renewed(home, database))
        assert alerts("\n".join(running.lines)) == []
    assert listed(database) == before


def collection_files(data: Path) -> list[Path]:
    """The collections of a service's directory."""
    found = []
    for path in data.glob("**/*.sqlite3"):
        with closing(sqlite3.connect(path)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'small'").fetchone():
                found.append(path)
    return found


# The work itself, step by step.


class World:
    """An installation of its own, with a collection in the test's hands."""

    def __init__(self, base: Path) -> None:
        self.database = base / "collection.sqlite3"
        self.folder = base / "photos"
        self.folder.mkdir()
        write_pictures(self.folder)
        self.config = Config(
            collection=CollectionConfig(owner="tests"),
            folders=(FolderConfig("photos", self.folder),),
            state=base / "state" / "state.sqlite3",
        )
        self.extract_features: Callable[[PictureFile], Features] | None = None

    @contextmanager
    def opened(self, make: Callable[[], ImageCollection] | None = None) -> Iterator[Components]:
        """snoopsync's parts, as long as the ``with`` lasts."""
        with ExitStack() as stack:
            state = stack.enter_context(closing(open_state(self.config.state)))
            make = make or (
                lambda: open_embedded(self.database, extract_features=self.extract_features)
            )
            collection = stack.enter_context(closing(make()))
            yield stack.enter_context(
                open_components(
                    self.config,
                    state,
                    collection,
                    stop=threading.Event(),
                    patience_seconds=0.0,
                    dependencies=Dependencies(retry_seconds=0.001),
                )
            )

    def pairs(self) -> list[Duplicate]:
        """The open pairs."""
        with closing(Database(self.config.state, readonly=True)) as database:
            return list(Pairs(database).listed())

    def mirror(self) -> None:
        with self.opened() as components:
            report = run_resync(components.engine, ResyncRequest(["photos"]))
            components.engine.close(5.0)
            components.duplicate_search.work_off(lambda: False)
        assert report.trouble is None


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Five pictures that the version before has described."""
    world = World(tmp_path)
    world.mirror()
    make_outdated(world.database)
    return world


def always(_seconds: float) -> bool:
    return True


def after(count: int) -> Callable[[float], bool]:
    """Stop after so many."""
    left = [count]

    def rest(_seconds: float) -> bool:
        left[0] -= 1
        return left[0] > 0

    return rest


def test_a_renewal_continues_where_it_was_stopped(world: World) -> None:
    for left in (3, 1):
        with world.opened() as components:
            assert not components.renewal.work_off(after(2))
            assert components.searches.due(9) == []
        assert count_outdated(world.database) == left
    with world.opened() as components:
        assert components.renewal.work_off(always)
        assert len(components.searches.due(9)) == 5
        components.duplicate_search.work_off(lambda: False)
        assert not components.renewal.work_off(always)
        assert components.searches.due(9) == []


def test_known_pairs_stay_while_only_some_pictures_are_described_again(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    with world.opened() as components:
        [pair] = world.pairs()
        for _ in range(6):
            components.renewal.work_off(after(1))
            components.searches.search_again()
            components.duplicate_search.work_off(lambda: False)
            [found] = world.pairs()
            assert (found.a.image_id, found.found_at) == (pair.a.image_id, pair.found_at)
    assert count_outdated(world.database) == 0
    assert not alerts(caplog.text)


def test_pairs_that_do_not_match_by_the_new_description_are_gone(world: World) -> None:
    with world.opened() as components:
        records = components.state.records_in("photos")
        one, other = (each for each in records if each.rel_path.name in (b"1.jpg", b"2.jpg"))
        assert one.sha256 is not None
        false = FoundImage(other.image_id, 0, "reencoded", other.sha256)
        components.searches.record(
            [SearchResult(Due(one.image_id, one.sha256), Findings((false,)), at=1.0)]
        )
        assert len(world.pairs()) == 2
        components.renewal.work_off(always)
        components.duplicate_search.work_off(lambda: False)
        assert [each.rank > 0 for each in world.pairs()] == [True]


def test_a_file_that_is_another_now_is_left_to_the_mirror(world: World) -> None:
    (world.folder / "1.jpg").write_bytes(encode(photo(9, SIZE)))
    with world.opened() as components:
        components.renewal.work_off(always)
        assert components.renewal.left == 1
    assert count_outdated(world.database) == 1
    world.mirror()
    assert count_outdated(world.database) == 0


def test_pictures_of_a_folder_that_is_missing_wait_for_it(world: World) -> None:
    away = world.folder.rename(world.folder.with_name("away"))
    with world.opened() as components:
        assert not components.renewal.work_off(always)
        assert components.renewal.left == 5
    away.rename(world.folder)
    with world.opened() as components:
        assert components.renewal.work_off(always)
        assert components.renewal.left == 0


def test_a_picture_that_this_version_can_not_read_is_listed_as_failed(world: World) -> None:
    def refuse(_picture: PictureFile) -> Features:
        raise Refused("a kind of picture that can't be read", status=415)

    world.extract_features = refuse
    with world.opened() as components:
        components.renewal.work_off(always)
        assert components.renewal.left == 0
        run_resync(components.engine, ResyncRequest(["photos"]))
        components.engine.close(5.0)
        assert components.state.counts()["photos"].failed == 5
    assert len(listed(world.database)) == 5


def test_images_of_others_and_of_no_file_here_are_left_alone(world: World) -> None:
    with closing(open_embedded(world.database)) as collection:
        for image_id in ("other.1", "tests.orphan"):
            collection.add_image(io.BytesIO(encode(photo(7))), image_id)
    make_outdated(world.database, "other.1", "tests.orphan")
    with world.opened() as components:
        components.renewal.work_off(always)
        assert components.renewal.left == 0
    assert count_outdated(world.database) == 2


def test_one_picture_that_fails_keeps_no_other_waiting(world: World) -> None:
    class Failing(EmbeddedCollection):
        def renew_image(self, image_id: str, image: ImageSource) -> ImageAnswer:
            if image_id == broken:
                raise Unavailable("broken", status=500)
            return super().renew_image(image_id, image)

    with world.opened() as components:
        broken = sorted(record.image_id for record in components.state.records_in("photos"))[0]
    with world.opened(lambda: Failing(SqliteImageStore(world.database, lambda: "c"))) as components:
        components.renewal.work_off(always)
        assert components.renewal.left == 1
    assert count_outdated(world.database) == 1


def test_a_collection_that_keeps_no_descriptions_is_not_asked(world: World) -> None:
    with world.opened(Shelf) as components, pytest.raises(NotFound):
        components.renewal.work_off(always)
