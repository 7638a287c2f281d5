"""Retries over real sockets: which requests are sent again, and what a lost answer leaves."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from snoopsync.client.changing import put_image, remove_image
from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.collection import Collection
from snoopsync.client.paging import ListingLimits
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import (
    CollectionError,
    Conflict,
    NotFound,
    Refused,
    Unavailable,
)
from snoopsync.core.protocol import ImageAnswer, ImageCollection
from snoopsync.runtime.clock import Clock
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer, Seen
from tests.support.faults import Fault, answers, as_json, reset_after, reset_before, rewritten
from tests.support.pictures import encode, photo
from tests.support.process import until
from tests.support.world import Shelf, fake_picture

PICTURE = encode(photo(1))


@pytest.fixture
def collection(server: CollectionServer) -> Iterator[RetryingCollection]:
    with RetryingCollection(
        Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint),
        CircuitBreaker(RetryPolicy(base_seconds=0.001, cap_seconds=0.01)),
        limits=ListingLimits(page_images=2),
    ) as retrying:
        yield retrying


def ids(collection: ImageCollection) -> list[str]:
    return [image["id"] for image in collection.images()]


LOST = [
    reset_after(),
    rewritten(lambda _body: b"<html>bad gateway</html>"),
    rewritten(lambda body: body[:20]),
]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("image_id", ["a", None])
def test_an_add_whose_answer_was_lost_leaves_one_image(
    server: CollectionServer, collection: RetryingCollection, lost: Fault, image_id: str | None
) -> None:
    server.faults.append(lost)
    answer = collection.add_image(io.BytesIO(PICTURE), image_id)
    assert ids(server.collection) == [answer["image_id"]]
    assert [seen.method for seen in server.requests] == ["POST", "POST", "PUT"]
    assert len({seen.sha256 for seen in server.requests}) == 1
    assert {seen.image_id for seen in server.requests} == {answer["image_id"]}


def test_an_add_whose_answer_is_lost_repeatedly_leaves_one_image(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    server.faults.extend([reset_after(), None, reset_after(), reset_before(), None, reset_after()])
    collection.add_image(io.BytesIO(PICTURE), "a")
    assert ids(server.collection) == ["a"]


def test_a_conflict_with_another_client_is_raised(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    server.collection.add_image(io.BytesIO(encode(photo(2))), "a")
    with pytest.raises(Conflict):
        collection.add_image(io.BytesIO(PICTURE), "a")
    assert [seen.method for seen in server.requests] == ["POST"]


def test_an_update_whose_answer_was_lost_is_sent_again(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    server.collection.add_image(io.BytesIO(encode(photo(2))), "a")
    server.faults.append(reset_after())
    collection.add_image(io.BytesIO(PICTURE), "a", update_existing=True)
    assert [seen.method for seen in server.requests] == ["PUT", "PUT"]
    assert ids(server.collection) == ["a"]


def test_an_update_of_an_unknown_image_is_not_found(collection: RetryingCollection) -> None:
    with pytest.raises(NotFound):
        collection.add_image(io.BytesIO(PICTURE), "a", update_existing=True)


def test_a_delete_whose_answer_was_lost_succeeds(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    server.collection.add_image(io.BytesIO(PICTURE), "a")
    server.faults.append(reset_after())
    answer = collection.delete_image("a")
    assert (answer["status"], answer["message"], answer["image_id"]) == (200, "Deleted", "a")
    assert answer["collection_id"] == server.collection.id
    assert ids(server.collection) == []


def test_a_delete_of_an_unknown_image_is_not_found(collection: RetryingCollection) -> None:
    with pytest.raises(NotFound):
        collection.delete_image("a")


def test_a_file_is_sent_again_from_its_first_position(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    file = io.BytesIO(b"before" + PICTURE)
    file.seek(6)
    server.faults.extend([reset_before(), answers(500)])
    collection.add_image(file, "a")
    assert [seen.length for seen in server.requests] == [len(PICTURE)] * 3
    file.seek(6)
    server.faults.append(reset_before())
    assert collection.search_images(file)["results"][0]["rank"] == 0


def test_a_stream_that_can_not_seek_is_sent_again_completely(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as sink:  # noqa: PTH123 - a pipe has no path
            sink.write(PICTURE)

    server.faults.append(reset_before())
    with (
        ThreadPoolExecutor(1) as pool,
        open(reading, "rb") as stream,  # noqa: PTH123 - a pipe has no path
    ):
        pool.submit(write)
        collection.add_image(stream, "a")
    assert [seen.length for seen in server.requests] == [len(PICTURE)] * 2


def test_a_path_is_opened_again_for_every_attempt(
    server: CollectionServer, collection: RetryingCollection, tmp_path: Path
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PICTURE)
    newer = encode(photo(2))

    def change_the_file(seen: Seen) -> Fault | None:
        if len(server.requests) > 1:
            return None
        path.write_bytes(newer)
        return reset_before()

    server.fault_for = change_the_file
    collection.add_image(path, "a")
    assert [seen.length for seen in server.requests] == [len(PICTURE), len(newer)]


def test_an_image_that_finds_no_room_is_retried_though_other_calls_succeed(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    """No other image would find room either, though searches succeed."""
    left = [answers(507)] * 12
    server.fault_for = lambda seen: left.pop() if left and seen.method == "POST" else None
    collection.add_image(io.BytesIO(PICTURE), "a")
    assert ids(server.collection) == ["a"]
    assert [seen.method for seen in server.requests] == 13 * ["POST"]


def test_a_listing_continues_at_the_page_that_failed(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    for number in range(5):
        server.collection.add_image(io.BytesIO(PICTURE), f"{number}")
    server.faults.extend([None, reset_before(), None, answers(503)])
    assert ids(collection) == ["4", "3", "2", "1", "0"]
    assert len(server.requests) == 5


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("expected", [True, False])
def test_put_image_stores_the_image_whatever_was_expected(
    server: CollectionServer, collection: RetryingCollection, there: bool, expected: bool
) -> None:
    if there:
        server.collection.add_image(io.BytesIO(encode(photo(2))), "a")
    file = io.BytesIO(b"before" + PICTURE)
    file.seek(6)
    put_image(collection, "a", file, expected=expected)
    assert ids(server.collection) == ["a"]
    assert {seen.length for seen in server.requests} == {len(PICTURE)}
    assert len(server.requests) == (1 if there == expected else 2)
    assert server.collection.search_images(io.BytesIO(PICTURE))["results"][0]["rank"] == 0


def test_put_image_overwrites_an_image_that_a_service_keeps_on_a_second_add(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    server.collection.add_image(io.BytesIO(encode(photo(2))), "a")
    server.faults.append(as_json({"message": "OK", "image_id": "a"}))
    put_image(collection, "a", io.BytesIO(PICTURE), expected=False)
    assert [seen.method for seen in server.requests] == ["POST", "PUT"]
    assert server.collection.search_images(io.BytesIO(PICTURE))["results"][0]["rank"] == 0


def test_put_image_raises_a_refusal(
    collection: RetryingCollection,
) -> None:
    with pytest.raises(Refused):
        put_image(collection, "a", io.BytesIO(b"no picture"), expected=False)


def test_remove_image_returns_whether_the_image_existed(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    server.collection.add_image(io.BytesIO(PICTURE), "a")
    assert remove_image(collection, "a")
    assert not remove_image(collection, "a")


def test_all_waiting_calls_succeed_after_a_real_outage(
    tmp_path: Path, server: CollectionServer
) -> None:
    """The service stops and starts again on its port."""
    port = server.port
    server.__exit__()
    policy = RetryPolicy(base_seconds=0.01, cap_seconds=0.05, max_outage_seconds=None)
    client = Collection(PUBLIC_KEY, SECRET_KEY, f"http://127.0.0.1:{port}/api/v1")
    with (
        RetryingCollection(client, CircuitBreaker(policy)) as collection,
        ThreadPoolExecutor(4) as pool,
    ):
        calls = [
            pool.submit(collection.add_image, io.BytesIO(PICTURE), f"{number}")
            for number in range(8)
        ]
        until(lambda: collection.outage is not None and collection.outage.attempts >= 8)
        assert not any(call.done() for call in calls)
        with CollectionServer(server.collection, port=port):
            for call in calls:
                assert call.result(60)["status"] == 201
    assert sorted(ids(server.collection)) == [f"{number}" for number in range(8)]
    assert collection.outage is None


def test_a_retrying_collection_may_wrap_another(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    assert isinstance(RetryingCollection(collection).get_images(), dict)
    with pytest.raises(CollectionError):
        RetryingCollection(collection).get_image("a")


def test_a_request_that_came_too_early_is_retried_a_second_later_and_is_not_an_outage() -> None:
    """A service that accepts each signature once has not looked at this request, so a conflict
    after it is with another client."""
    pauses: list[float] = []

    class Waiting(Clock):
        def boottime(self) -> float:
            return sum(pauses)

        def wait_until(self, event: threading.Event, boottime: float) -> None:
            assert retrying.outage is None
            pauses.append(boottime - self.boottime())

    class Early(Shelf):
        was_asked = False

        def add_image(self, *arguments: Any, **options: Any) -> ImageAnswer:
            if not self.was_asked:
                self.was_asked = True
                raise Unavailable("sent already", status=425, retry_after=1.0)
            return super().add_image(*arguments, **options)

    shelf = Early()
    shelf.was_asked = True
    shelf.add_image(io.BytesIO(fake_picture(1)), "known")
    shelf.was_asked = False
    retrying = RetryingCollection(shelf, CircuitBreaker(clock=Waiting()))
    with pytest.raises(Conflict):
        retrying.add_image(io.BytesIO(fake_picture(2)), "known")
    assert sum(pauses) >= 1.0


class Preparing:
    """A collection that only prepares searches, and fails once it has."""

    prepared: tuple[str, ...] = ()

    def prepare_searches(self, image_ids: Iterable[str]) -> None:
        self.prepared = tuple(image_ids)
        raise Unavailable("the index is away")


def test_only_a_collection_that_can_prepares_searches_and_its_failure_stops_nothing(
    server: CollectionServer, collection: RetryingCollection
) -> None:
    collection.prepare_searches(["a"])
    assert not server.requests
    preparing = Preparing()
    RetryingCollection(cast(ImageCollection, preparing)).prepare_searches(["a", "b"])
    assert preparing.prepared == ("a", "b")
