"""A hostile collection can't fill the daemon's memory, state file or log. One log line says what
the collection did."""

from __future__ import annotations

import json
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from snoopsync.client import lists, responses
from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.collection import Collection
from snoopsync.client.lists import MOST_RESULTS
from snoopsync.client.paging import ListingLimits, read_pages
from snoopsync.client.responses import Response
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.duplicates import findings_of, search_limit
from snoopsync.core.errors import BadAnswer, CollectionError, ExcessiveAnswer, Unreachable
from snoopsync.core.protocol import KINDS, ImageSource, ListAnswer, Match
from snoopsync.embedded.kinds import MatchKind
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.searches import Searches
from snoopsync.sync import renewal
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer, Seen
from tests.support.faults import Fault, as_json
from tests.support.faults import answers as answering
from tests.support.odd_listings import ever_new_images, page
from tests.support.process import Installation, until
from tests.support.raw_service import raw_service
from tests.support.world import Shelf, fake_picture

pytestmark = pytest.mark.integration

MEGABYTE = 1024 * 1024
PAGE_IMAGES = ListingLimits().page_images


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """Check that the ``with`` never takes more memory than this."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MEGABYTE


@pytest.fixture
def server() -> Iterator[CollectionServer]:
    with CollectionServer(Shelf()) as server:
        yield server


@pytest.fixture
def client(server: CollectionServer) -> Iterator[Collection]:
    with Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as client:
        yield client


def body(answer: dict[str, Any]) -> Response:
    return Response(200, "OK", {}, json.dumps(answer).encode())


# Listings.


def replying(body: bytes) -> Callable[[socket.socket], None]:
    """Answer each request with this body, which is in memory already."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        connection.sendall(body)

    return behave


def test_a_page_of_more_images_than_were_asked_for_is_refused() -> None:
    text = json.dumps(ever_new_images(20_000)(None, None)).encode()
    with (
        raw_service(replying(text)) as endpoint,
        Collection("k", "s", endpoint) as client,
        at_most(4),
        pytest.raises(ExcessiveAnswer) as caught,
    ):
        client.get_images(count=1000)
    assert str(caught.value) == (
        "the listing is refused: a page has more than the 1000 images that were requested"
    )
    assert caught.value.permanent


def count_images(
    get_page: Callable[[str | None, int | None], ListAnswer], limits: ListingLimits
) -> int:
    """The number of images in the whole listing."""
    return sum(1 for _ in read_pages(lambda start: get_page(start, limits.page_images), limits))


def test_an_endless_listing_ends_and_takes_little_memory() -> None:
    get_page = ever_new_images(PAGE_IMAGES)
    with (
        at_most(4),
        pytest.raises(ExcessiveAnswer, match="no end after 201000 images on 201 pages"),
    ):
        count_images(get_page, ListingLimits(images=200_000))


def test_an_endless_listing_of_small_pages_ends() -> None:
    get_page = ever_new_images(1)
    with pytest.raises(ExcessiveAnswer, match="no end after 501 images on 501 pages"):
        count_images(get_page, ListingLimits(pages=500))


def test_a_circle_of_many_pages_is_found_without_remembering_them() -> None:
    """Each page has a new start, and the images repeat."""
    pages = [[f"{number}.{at}" for at in range(3)] for number in range(300)]
    asked = 0

    def get_page(_start: str | None) -> ListAnswer:
        nonlocal asked
        asked += 1
        return page(pages[asked % len(pages)], f"next.{asked}")

    with pytest.raises(BadAnswer, match="no end"):
        for _image in read_pages(get_page):
            pass
    assert asked < 100 * len(pages)


class Endless(Shelf):
    """Lists new images of this owner on each of a number of pages."""

    def __init__(self, pages: int, owner: str) -> None:
        super().__init__()
        self._get_page = ever_new_images(PAGE_IMAGES, owner)
        self._left = pages

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        self._left -= 1
        found = self._get_page(start, count)
        if self._left == 0:
            found["next_image_id"] = None
        return found


def test_the_images_of_others_are_only_counted() -> None:
    collection = RetryingCollection(Endless(200, "somebody"))
    with at_most(4):
        times = collection.image_times({"somebody.0"}, lambda each: each.startswith("tests."))
    assert list(times) == ["somebody.0"]


def test_unknown_images_of_this_owner_are_kept_up_to_a_limit() -> None:
    limits = ListingLimits(unknown_images=5000)
    known = {f"tests.{number}" for number in range(3000)}
    collection = RetryingCollection(Endless(8, "tests"), limits=limits)
    assert len(collection.image_times(known)) == 8000
    collection = RetryingCollection(Endless(9, "tests"), limits=limits)
    with pytest.raises(ExcessiveAnswer, match="more than 5000 images of this owner"):
        collection.image_times(known)


@pytest.mark.parametrize("start", ["x" * 101, "\ud800", "x" * 5 * MEGABYTE], ids=len)
def test_an_invalid_next_image_id_is_a_bad_answer(start: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        lists.parse_listing(body({"images": [], "next_image_id": start}), "c")
    assert len(str(caught.value)) < 400


def test_an_invalid_time_is_not_kept() -> None:
    listed = {"id": "a", "image_time": "2" * 1000}
    assert lists.parse_listing(body({"images": [listed]}), "c")["images"] == [
        {"id": "a", "image_time": ""}
    ]
    about = {"image_id": "a", "image_time": "2" * 1000}
    assert responses.parse_image(body(about), "a", "c")["image_time"] == ""


@pytest.mark.parametrize("key", ["collection_id", "collection_name", "user"])
def test_a_name_that_is_too_long_is_a_bad_answer(key: str) -> None:
    session = {"collection_id": "c", "collection_name": "n", "user": "u", key: "x" * 100_000}
    with pytest.raises(BadAnswer, match=key) as caught:
        responses.parse_session(body(session))
    assert len(str(caught.value)) < 400


def test_a_long_answer_about_one_image_is_refused(
    server: CollectionServer, client: Collection
) -> None:
    server.faults.append(as_json({"image_id": "a", "image_time": "", "message": "x" * MEGABYTE}))
    with pytest.raises(ExcessiveAnswer, match="more than 256 KB"):
        client.get_image("a")


def outdated_page(count: int, following: str | None) -> dict[str, Any]:
    ids = [f"tester.{number}" for number in range(count)]
    return {"collection_id": "c", "total": count, "ids": ids, "next": following}


def test_a_page_of_too_many_outdated_images_is_refused() -> None:
    assert len(lists.parse_outdated(body(outdated_page(10_000, "n")), "c")["ids"]) == 10_000
    with pytest.raises(ExcessiveAnswer, match="more than 10000"):
        lists.parse_outdated(body(outdated_page(10_001, None)), "c")


@pytest.mark.parametrize("count", [0, 1000])
def test_an_endless_list_of_outdated_images_is_abandoned(tmp_path: Path, count: int) -> None:
    """The state file knows none of them, so nothing is sent."""
    asked = 0

    class Describing(Shelf):
        def outdated(self, _owner: str | None = None, _after: str | None = None) -> Any:
            nonlocal asked
            asked += 1
            return outdated_page(count, f"after {asked}")

        def renew_image(self, image_id: str, image: ImageSource) -> Any:
            raise AssertionError("there is nothing to send")

    with closing(Database(tmp_path / "state.sqlite3")) as database:
        collection = RetryingCollection(Describing())
        left = renewal.Renewal("tester", State(database), Searches(database), {}, collection, 5000)
        assert not left.work_off(lambda _seconds: True)
    assert asked <= 6


# Results.


def results(count: int, **extra: Any) -> list[dict[str, Any]]:
    return [{"id": f"x{number}", "rank": number % 50, **extra} for number in range(count)]


def test_a_long_search_result_is_reduced_to_the_nearest(
    server: CollectionServer, client: Collection
) -> None:
    """The answer is larger than a page of a listing may be."""
    count = 400_000
    server.faults.append(as_json({"results": results(count, kind="rotated", sha256="0" * 64)}))
    body_bytes = len(json.dumps(results(1, kind="rotated", sha256="0" * 64))) * count
    assert body_bytes > lists.LARGEST_PAGE_BYTES
    found = client.search_images(fake_picture(1))
    assert found["cut"]
    ranks = [match["rank"] for match in found["results"]]
    assert len(ranks) == MOST_RESULTS
    assert ranks == sorted(ranks)
    # Each rank has 8,000 results.
    assert ranks.count(0) == count // 50
    assert ranks.count(1) == MOST_RESULTS - count // 50


def test_an_answer_of_a_service_without_limits_is_reduced_to_the_nearest() -> None:
    long = [{"id": f"copy{number}", "rank": 0, "sha256": "0" * 64} for number in range(5000)] + [
        {"id": f"x{number}", "rank": 50 - number % 50} for number in range(5000)
    ]
    found = lists.parse_search(body({"results": long}), "c", limit=4)
    assert [(match["rank"], match["copies"]) for match in found["results"]] == [
        (0, 5000),
        *[(1, 1)] * 3,
    ]
    assert found["cut"]


def test_a_short_answer_is_not_cut(server: CollectionServer, client: Collection) -> None:
    server.faults.append(as_json({"results": results(100)}))
    found = client.search_images(fake_picture(1))
    assert len(found["results"]) == 100
    assert "cut" not in found


def test_only_known_fields_of_a_result_are_kept() -> None:
    odd = {
        "kind": "K" * 1000,
        "sha256": "zz",
        "label": {"x": [1] * 100},
        "width": 10**300,
        "height": 5,
        "asked": {"width": 3, "more": "x" * 1000},
    }
    found = lists.parse_search(body({"results": [{"id": "a", "rank": 1, **odd}]}), "c")
    assert found["results"] == [{"id": "a", "rank": 1, "height": 5, "asked": {"width": 3}}]


def test_the_kinds_are_those_of_the_embedded_collection() -> None:
    assert {kind.value for kind in MatchKind} == KINDS


@pytest.mark.parametrize("rank", [2**31, 10**4000])
def test_a_result_with_a_huge_rank_is_not_a_match(rank: int) -> None:
    text = b'{"results": [{"id": "a", "rank": %d}, {"id": "b", "rank": 3}]}' % rank
    found = lists.parse_search(Response(200, "OK", {}, text), "c")
    assert [match["id"] for match in found["results"]] == ["b"]


@pytest.mark.parametrize("rank", ["NaN", "Infinity", "1e3", "-5", "9" * 5000, "null", '"0"'])
def test_an_invalid_rank_is_a_bad_answer(rank: str) -> None:
    text = b'{"results": [{"id": "a", "rank": %s}]}' % rank.encode()
    with pytest.raises(BadAnswer) as caught:
        lists.parse_search(Response(200, "OK", {}, text), "c")
    assert len(str(caught.value)) < 400


def test_a_result_with_megabytes_of_text_is_refused_without_a_retry(
    server: CollectionServer, client: Collection
) -> None:
    server.fault_for = lambda _seen: as_json({"results": results(2, kind="K" * 5 * MEGABYTE)})
    patient = RetryingCollection(client, CircuitBreaker(RetryPolicy(attempts=5)))
    with pytest.raises(ExcessiveAnswer) as caught:
        patient.search_images_by_id("a")
    assert str(caught.value) == "the answer is refused: a value in it has more than 64 KB"
    assert len(server.requests) == 1


def matches(count: int) -> list[Match]:
    return [{"id": f"x{number:06}", "rank": number % 100} for number in range(count)]


def test_the_nearest_of_very_many_matches_are_recorded() -> None:
    found = findings_of("a", matches(100_000), 50, limit=64)
    assert len(found.images) == 64
    assert {each.rank for each in found.images} == {0}
    assert not found.is_complete  # so no link ends because others are nearer


# Raw responses.


def flooding(head: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return behave


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (CHUNKED, b"1" * 65536),
        (CHUNKED + b"1;", b"x" * 65536),
        (CHUNKED + b"0\r\nTrailer: ", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        (b"HTTP/1.1 200 " + b"O" * 65536, b"K" * 65536),
    ],
    ids=["chunk length", "chunk extension", "trailer", "header", "headers", "reason"],
)
def test_an_endless_line_or_head_is_not_http(head: bytes, piece: bytes) -> None:
    with (
        raw_service(flooding(head, piece)) as endpoint,
        Collection("k", "s", endpoint, timeout=20) as client,
        at_most(4),
        pytest.raises(Unreachable, match="not HTTP"),
    ):
        client.get_images()


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (CHUNKED + b"0\r\n", b"Trailer: x\r\n" * 1000),
    ],
    ids=["hints", "continue", "trailers"],
)
def test_endless_interim_responses_and_trailers_end_with_the_timeout(
    head: bytes, piece: bytes
) -> None:
    with (
        raw_service(flooding(head, piece)) as endpoint,
        Collection("k", "s", endpoint, timeout=0.5) as client,
        at_most(4),
        pytest.raises(Unreachable, match=r"no answer within 0\.5 s"),
    ):
        client.get_images()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_file_is_not_followed(
    server: CollectionServer, client: Collection, status: int
) -> None:
    server.fault_for = lambda _seen: answering(status, Location="file:///etc/passwd")
    with pytest.raises(BadAnswer, match=r"to file:///etc/passwd: is collection\.endpoint"):
        client.get_images()
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["images", "more"])
def test_a_list_of_empty_objects_takes_little_memory(name: str) -> None:
    """In memory, the objects are twenty times as large as in the answer."""
    text = b'{"%s": [' % name.encode() + b"{}," * (4 * MEGABYTE) + b"{}]}"
    with (
        raw_service(replying(text)) as endpoint,
        Collection("k", "s", endpoint) as client,
        at_most(12),
        pytest.raises(CollectionError),
    ):
        client.get_images()


# The whole daemon.

HARM: dict[str, Callable[[Seen], Fault | None]] = {
    "many results": lambda seen: (
        as_json({"results": [{"id": f"{seen.image_id}-{n}", "rank": 0} for n in range(20_000)]})
        if "/search" in seen.path
        else None
    ),
    "long kind": lambda seen: (
        as_json({"results": results(2, kind="K" * 5 * MEGABYTE)})
        if "/search" in seen.path
        else None
    ),
    "large page": lambda seen: (
        as_json({"images": [{"id": f"x.{n}", "image_time": ""} for n in range(20_000)]})
        if seen.path.endswith("/images")
        else None
    ),
    "deep page": lambda seen: (
        answering(200, b"[" * 2_000_000) if seen.path.endswith("/images") else None
    ),
    "escapes": lambda seen: (
        as_json({"results": [{"id": "evil\x1b]0;pwned\x07", "rank": 0, "kind": "\x1b[2J"}]})
        if "/search" in seen.path
        else None
    ),
}


@pytest.mark.parametrize("kind", list(HARM))
def test_a_hostile_collection_leaves_the_daemon_a_short_log_and_a_small_state(
    shelf_home: Installation, shelf_server: CollectionServer, kind: str
) -> None:
    for number in range(3):
        (shelf_home.pictures / f"{number}.jpg").write_bytes(fake_picture(number))
    if not kind.endswith("page"):
        shelf_server.fault_for = HARM[kind]
    with shelf_home.running() as service:
        until(lambda: len({s.path for s in shelf_server.requests if "/search/" in s.path}) == 3)
        shelf_server.fault_for = HARM[kind]
        if kind.endswith("page"):
            done = shelf_home.run_process("resync", "--wait", "0")
            assert done.code == 5
            assert len(done.err) < 2000
        shelf_server.fault_for = lambda _seen: None
        (shelf_home.pictures / "3.jpg").write_bytes(fake_picture(3))
        until(shelf_home.is_in_sync, 60.0)
        assert service.end() == 0
        lines = list(service.lines)
    assert len(lines) < 20 + 3 * search_limit(0)
    assert all(len(line) < 600 and line.isprintable() for line in lines)
    state = sum(path.stat().st_size for path in shelf_home.state.parent.glob("state.sqlite3*"))
    assert state < MEGABYTE
