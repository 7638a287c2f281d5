"""The contract of every collection: one suite for all implementations.

These are the embedded collection, the HTTP client against a server on loopback, and each of them
with retries.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import Conflict, NotFound, Refused
from snoopsync.core.protocol import ImageCollection, Labelled, ReportsChanges
from snoopsync.embedded import open_embedded
from snoopsync.embedded.changes import PAGE_IMAGES
from snoopsync.server.storage import Location
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.hosted import Hosted, hosted
from tests.support.pictures import encode, photo
from tests.support.postgres import Cluster

pytestmark = pytest.mark.integration

PICTURE = encode(photo(1))
OTHER_PICTURE = encode(photo(2))

ODD_IDS = [
    "a b",
    "a/b",
    "/",
    "?x=1",
    "#",
    "%",
    "%2F",
    "a+b&c=d;e",
    "é 写真 🖼",
    ".",
    "..",
    "./..",
    "...",
    "\n",
    '"quoted"',
    "x" * 100,
    "写" * 100,
]


_NUMBERS = itertools.count()

KINDS = [
    "embedded",
    "http",
    "retrying serve",
    "retrying serve on postgres",
    "retrying embedded",
    "retrying http",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A service, in which each test has a collection of its own."""
    with hosted(tmp_path_factory.mktemp("served") / "data") as service:
        yield service


@pytest.fixture(scope="module")
def served_on_postgres(
    tmp_path_factory: pytest.TempPathFactory, cluster: Cluster
) -> Iterator[Hosted]:
    """A service whose collections are in PostgreSQL."""
    location = Location(tmp_path_factory.mktemp("served") / "data", cluster.new_database())
    with hosted(location) as service:
        yield service


@pytest.fixture(params=KINDS)
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageCollection]:
    if "serve" in request.param:
        name = "served_on_postgres" if "postgres" in request.param else "served"
        service: Hosted = request.getfixturevalue(name)
        with service.client(f"contract {next(_NUMBERS)}") as client:
            yield RetryingCollection(client)
        return
    with ExitStack() as stack:
        stored = open_embedded(tmp_path / "c.sqlite3", name="contract")
        stack.callback(stored.close)
        inner: ImageCollection = stored
        if "http" in request.param:
            server = stack.enter_context(CollectionServer(stored))
            inner = stack.enter_context(Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint))
        yield RetryingCollection(inner) if "retrying" in request.param else inner


def test_a_collection_has_an_id_a_name_and_a_user(collection: ImageCollection) -> None:
    assert collection.name.startswith("contract")
    assert collection.id == collection.get_images()["collection_id"]
    assert collection.user


def test_an_added_image_exists_until_it_is_deleted(collection: ImageCollection) -> None:
    added = collection.add_image(io.BytesIO(PICTURE), "a")
    assert (added["status"], added["message"], added["image_id"]) == (201, "Added", "a")
    assert datetime.fromisoformat(added["image_time"]).tzinfo
    got = collection.get_image("a")
    assert got == {**added, "status": 200, "message": "OK"}
    deleted = collection.delete_image("a")
    assert (deleted["status"], deleted["message"], deleted["image_id"]) == (200, "Deleted", "a")
    with pytest.raises(NotFound):
        collection.get_image("a")


def test_an_image_without_an_id_gets_a_new_one(collection: ImageCollection) -> None:
    ids = {collection.add_image(io.BytesIO(PICTURE))["image_id"] for _ in range(3)}
    assert len(ids) == 3
    assert {image["id"] for image in collection.images()} == ids


def test_a_known_id_is_not_overwritten(collection: ImageCollection) -> None:
    collection.add_image(io.BytesIO(PICTURE), "a")
    with pytest.raises(Conflict) as caught:
        collection.add_image(io.BytesIO(OTHER_PICTURE), "a")
    assert caught.value.permanent
    assert collection.search_images(io.BytesIO(OTHER_PICTURE))["results"] == []


def test_an_update_replaces_the_picture(collection: ImageCollection) -> None:
    added = collection.add_image(io.BytesIO(PICTURE), "a")
    updated = collection.add_image(io.BytesIO(OTHER_PICTURE), "a", update_existing=True)
    assert (updated["status"], updated["message"]) == (200, "Updated")
    assert updated["image_time"] > added["image_time"]
    assert collection.search_images(io.BytesIO(PICTURE))["results"] == []
    assert collection.search_images(io.BytesIO(OTHER_PICTURE))["results"][0]["id"] == "a"


def test_bytes_are_a_picture_and_a_text_is_a_path(
    collection: ImageCollection, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PICTURE)
    collection.add_image(PICTURE, "bytes")
    collection.add_image(str(path), "text")
    collection.add_image(path, "path")
    collection.add_image(bytes(OTHER_PICTURE), "path", update_existing=True)
    assert {match["id"] for match in collection.search_images(PICTURE)["results"]} == {
        "bytes",
        "text",
    }


def test_an_unknown_image_is_not_found(collection: ImageCollection) -> None:
    with pytest.raises(NotFound):
        collection.get_image("a")
    with pytest.raises(NotFound):
        collection.delete_image("a")
    with pytest.raises(NotFound):
        collection.search_images_by_id("a")
    with pytest.raises(NotFound):
        collection.add_image(io.BytesIO(PICTURE), "a", update_existing=True)
    with pytest.raises(NotFound):
        collection.add_image(io.BytesIO(PICTURE), update_existing=True)
    with pytest.raises(NotFound):
        collection.get_images(start="a")
    assert list(collection.images()) == []


@pytest.mark.parametrize("image_id", ODD_IDS)
def test_odd_ids_arrive_unchanged(collection: ImageCollection, image_id: str) -> None:
    collection.add_image(io.BytesIO(PICTURE), "neighbour")
    assert collection.add_image(io.BytesIO(PICTURE), image_id)["image_id"] == image_id
    assert collection.get_image(image_id)["image_id"] == image_id
    assert collection.search_images_by_id(image_id)["image_id"] == image_id
    assert collection.get_images(start=image_id, count=1)["images"][0]["id"] == image_id
    assert {image["id"] for image in collection.images()} == {"neighbour", image_id}
    assert collection.delete_image(image_id)["image_id"] == image_id
    assert [image["id"] for image in collection.images()] == ["neighbour"]


@pytest.mark.parametrize("image_id", ["", "x" * 101, "写" * 101])
def test_ids_of_the_wrong_length_are_refused(collection: ImageCollection, image_id: str) -> None:
    collection.add_image(io.BytesIO(PICTURE), "neighbour")
    with pytest.raises(Refused):
        collection.add_image(io.BytesIO(PICTURE), image_id)
    with pytest.raises(Refused):
        collection.get_image(image_id)
    with pytest.raises(Refused):
        collection.delete_image(image_id)
    with pytest.raises(Refused):
        collection.search_images_by_id(image_id)
    assert [image["id"] for image in collection.images()] == ["neighbour"]


def test_an_invalid_picture_is_refused_permanently(collection: ImageCollection) -> None:
    for content in (b"", b"no picture", PICTURE[:100]):
        with pytest.raises(Refused) as caught:
            collection.add_image(io.BytesIO(content), "a")
        assert caught.value.permanent
        assert caught.value.message
    assert list(collection.images()) == []


def test_the_listing_is_newest_first_in_pages(collection: ImageCollection) -> None:
    for number in range(5):
        collection.add_image(io.BytesIO(PICTURE), f"{number}")
    collection.add_image(io.BytesIO(PICTURE), "1", update_existing=True)
    order = ["1", "4", "3", "2", "0"]
    assert [image["id"] for image in collection.images()] == order
    walked: list[str] = []
    start: str | None = None
    while True:
        page = collection.get_images(start=start, count=2)
        walked += [image["id"] for image in page["images"]]
        assert len(page["images"]) <= 2
        start = page["next_image_id"]
        if start is None:
            break
    assert walked == order
    times = [image["image_time"] for image in collection.images()]
    assert times == sorted(times, reverse=True)


def test_a_search_finds_the_same_picture_with_rank_0(collection: ImageCollection) -> None:
    collection.add_image(io.BytesIO(PICTURE), "a")
    collection.add_image(io.BytesIO(OTHER_PICTURE), "b")
    found = collection.search_images(io.BytesIO(PICTURE))
    assert [(match["id"], match["rank"]) for match in found["results"]] == [("a", 0)]
    assert (found["status"], found["message"]) == (200, "OK")


def test_a_search_by_id_excludes_the_image_itself(collection: ImageCollection) -> None:
    collection.add_image(io.BytesIO(PICTURE), "a")
    assert collection.search_images_by_id("a")["results"] == []
    collection.add_image(io.BytesIO(PICTURE), "copy")
    smaller = encode(photo(1).resize((160, 120)))
    collection.add_image(io.BytesIO(smaller), "smaller")
    found = collection.search_images_by_id("a")
    ranks = {match["id"]: match["rank"] for match in found["results"]}
    assert set(ranks) == {"copy", "smaller"}
    assert ranks["copy"] == 0 < ranks["smaller"]
    assert found["results"][0]["id"] == "copy"
    assert found["image_id"] == "a"


def test_with_a_limit_only_the_nearest_are_found_and_copies_count_as_one(
    collection: ImageCollection,
) -> None:
    for image_id in ("us.a", "us.b", "us.c", "them.d"):
        collection.add_image(io.BytesIO(PICTURE), image_id)
    collection.add_image(io.BytesIO(encode(photo(1).resize((160, 120)))), "us.small")
    copies = [
        [(match["id"], match["copies"]) for match in answer["results"]]
        for limit in (1, 2, 9)
        for answer in (
            collection.search_images_by_id("us.a", limit),
            collection.search_images(io.BytesIO(PICTURE), limit),
        )
    ]
    by_id, by_bytes = copies[0::2], copies[1::2]
    # Of images with the same bytes, one of another owner is named.
    assert by_id == [[("them.d", 3)], *[[("them.d", 3), ("us.small", 1)]] * 2]
    assert [[count for _, count in found] for found in by_bytes] == [[4], [4, 1], [4, 1]]
    assert all("copies" not in each for each in collection.search_images_by_id("us.a")["results"])


def test_an_image_is_a_path_its_bytes_or_a_file(
    collection: ImageCollection, tmp_path: Path
) -> None:
    path = tmp_path / "a picture é.jpg"
    path.write_bytes(PICTURE)
    collection.add_image(path, "path")
    collection.add_image(str(path), "text")
    collection.add_image(PICTURE, "bytes")
    with path.open("rb") as file:
        collection.add_image(file, "file")
    assert len(collection.search_images(path)["results"]) == 4
    with pytest.raises(FileNotFoundError):
        collection.add_image(tmp_path / "not there.jpg", "nothing")


def test_a_file_is_read_from_its_position_and_left_open(collection: ImageCollection) -> None:
    file = io.BytesIO(b"something before" + PICTURE)
    file.seek(len(b"something before"))
    collection.add_image(file, "a")
    assert not file.closed
    assert collection.search_images(io.BytesIO(PICTURE))["results"][0]["rank"] == 0


def test_an_error_of_reading_is_raised_and_nothing_is_stored(
    collection: ImageCollection,
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= len(PICTURE):
                raise OSError(5, "the disk is broken")
            return super().read(size)

    with pytest.raises(OSError, match="the disk is broken"):
        collection.add_image(Broken(PICTURE), "a")
    assert list(collection.images()) == []


# What other owners added.


def changes(collection: ImageCollection, since: int, owner: str = "us") -> list[tuple[str, str]]:
    """All pairs since that moment, read page by page."""
    assert isinstance(collection, ReportsChanges)
    pairs = []
    while (page := collection.changes(since, owner))["next"] != since:
        pairs += [(pair["id"], pair["match"]) for pair in page["pairs"]]
        since = page["next"]
    assert page["pairs"] == []
    return pairs


def present(collection: ImageCollection) -> int:
    assert isinstance(collection, ReportsChanges)
    page = collection.changes(None, "us")
    assert page["pairs"] == []
    return page["next"]


SMALLER_PICTURE = encode(photo(1).resize((160, 120)))


def test_an_owner_learns_what_others_added_since_that_is_like_an_image_of_this_owner(
    collection: ImageCollection,
) -> None:
    assert isinstance(collection, ReportsChanges)
    collection.add_image(PICTURE, "us.a")
    collection.add_image(PICTURE, "them.before")
    since = present(collection)
    collection.add_image(SMALLER_PICTURE, "them.smaller")
    collection.add_image(OTHER_PICTURE, "them.other")
    collection.add_image(PICTURE, "us2.copy")
    page = collection.changes(since, "us")
    assert (page["status"], page["message"]) == (200, "OK")
    assert page["collection_id"] == collection.id
    smaller, copy = page["pairs"]
    rank = collection.search_images_by_id("us.a", 9)["results"][-1]["rank"]
    assert smaller == {
        "id": "us.a",
        "match": "them.smaller",
        "rank": rank,
        "kind": "reencoded",
        "label": None,
    }
    assert copy == {
        "id": "us.a",
        "match": "us2.copy",
        "rank": 0,
        "kind": "identical",
        "label": None,
    }
    assert collection.changes(page["next"], "us")["pairs"] == []


def test_an_owners_own_images_and_those_of_removed_ones_are_no_changes(
    collection: ImageCollection,
) -> None:
    since = present(collection)
    collection.add_image(PICTURE, "us.a")
    collection.add_image(PICTURE, "us.b")
    assert changes(collection, since) == []
    collection.add_image(PICTURE, "them.a")
    assert changes(collection, since) == [("us.a", "them.a")]
    collection.delete_image("us.a")
    assert changes(collection, since) == [("us.b", "them.a")]
    collection.delete_image("them.a")
    assert changes(collection, since) == []


def test_an_image_that_another_owner_changed_is_a_change(collection: ImageCollection) -> None:
    collection.add_image(PICTURE, "us.a")
    collection.add_image(OTHER_PICTURE, "them.a")
    since = present(collection)
    collection.add_image(PICTURE, "them.a", update_existing=True)
    assert changes(collection, since) == [("us.a", "them.a")]


def test_many_changes_are_reported_in_pages_each_once_and_in_order(
    collection: ImageCollection,
) -> None:
    for number in range(3):
        collection.add_image(PICTURE, f"us.{number}")
    since = present(collection)
    added = [f"them.{number}" for number in range(2 * PAGE_IMAGES + 1)]
    for image_id in added:
        collection.add_image(PICTURE, image_id)
    # One of our images stands for all with its bytes.
    assert changes(collection, since) == [("us.0", image_id) for image_id in added]


def test_a_moment_in_the_future_has_no_changes_and_the_present_moment_as_next(
    collection: ImageCollection,
) -> None:
    assert isinstance(collection, ReportsChanges)
    collection.add_image(PICTURE, "us.a")
    collection.add_image(PICTURE, "them.a")
    now = present(collection)
    for since in (now + 1, 2**63 - 1):
        page = collection.changes(since, "us")
        assert (page["pairs"], page["next"]) == ([], now)


@pytest.mark.parametrize(
    ("since", "owner"),
    [(-1, "us"), (2**63, "us"), (10**30, "us"), (0, ""), (None, ""), (0, 100 * "x")],
)
def test_an_impossible_moment_or_owner_is_refused(
    collection: ImageCollection, since: int | None, owner: str
) -> None:
    assert isinstance(collection, ReportsChanges)
    with pytest.raises(Refused) as caught:
        collection.changes(since, owner)
    assert caught.value.status == 400


ODD_LABELS = [
    "nas: photos/2024/a b.jpg",
    " spaces ",
    "%41%0A",
    "é 写真 🖼 e\u0301",
    "\u202e\u2028",
    '?x=1&y#/;,"',
    "x" * 512,
    "写" * 170,
]


def labelled(collection: ImageCollection) -> Labelled:
    assert isinstance(collection, Labelled)
    return collection


@pytest.mark.parametrize("label", ODD_LABELS)
def test_a_label_arrives_unchanged(collection: ImageCollection, label: str) -> None:
    added = collection.add_image(PICTURE, "a/b", label=label)
    collection.add_image(PICTURE, "copy")
    assert (added["label"], collection.get_image("a/b")["label"]) == (label, label)
    assert "label" not in collection.get_image("copy")
    [match] = collection.search_images_by_id("copy")["results"]
    [near] = collection.search_images_by_id("copy", 1)["results"]
    assert (match["label"], near["label"]) == (label, label)
    found = {each["id"]: each.get("label") for each in collection.search_images(PICTURE)["results"]}
    assert found == {"a/b": label, "copy": None}


def test_an_image_keeps_its_label_until_there_is_another_one(collection: ImageCollection) -> None:
    collection.add_image(PICTURE, "a", label="one")
    assert collection.add_image(OTHER_PICTURE, "a", True)["label"] == "one"
    assert collection.add_image(PICTURE, "a", True, "two")["label"] == "two"
    assert collection.get_image("a")["label"] == "two"


def test_a_label_is_set_and_cleared_without_the_picture(collection: ImageCollection) -> None:
    before = collection.add_image(PICTURE, "a b/c")
    collection.add_image(PICTURE, "copy")
    for label in ("one", "two"):
        answer = labelled(collection).set_label("a b/c", label)
        assert (answer["status"], answer["image_id"], answer["label"]) == (200, "a b/c", label)
        [match] = collection.search_images_by_id("copy")["results"]
        assert match["label"] == label
    assert "label" not in labelled(collection).set_label("a b/c", None)
    after = collection.get_image("a b/c")
    assert (after["image_time"], "label" in after) == (before["image_time"], False)


def test_the_label_of_an_unknown_image_can_not_be_set(collection: ImageCollection) -> None:
    for label in ("one", None):
        with pytest.raises(NotFound):
            labelled(collection).set_label("a", label)


@pytest.mark.parametrize("label", ["a\n", "\x00", "\x7f", "\x85", "x" * 513, "写" * 171])
def test_an_invalid_label_is_refused(collection: ImageCollection, label: str) -> None:
    collection.add_image(PICTURE, "a")
    calls: tuple[Callable[[], object], ...] = (
        lambda: collection.add_image(PICTURE, "b", label=label),
        lambda: collection.add_image(OTHER_PICTURE, "a", True, label),
        lambda: labelled(collection).set_label("a", label),
    )
    for call in calls:
        with pytest.raises(Refused) as caught:
            call()
        assert (caught.value.status, caught.value.permanent) == (400, True)
    assert [each["id"] for each in collection.images()] == ["a"]
    assert "label" not in collection.get_image("a")
    assert collection.search_images(OTHER_PICTURE)["results"] == []
