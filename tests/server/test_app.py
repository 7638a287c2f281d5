"""The answers of the collection as a service: the calls, limits, turns of keys, and errors."""

from __future__ import annotations

import io
import logging
import os
import re
import sqlite3
import sys
import threading
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import NotFound, Refused, Unauthorized, Unavailable, Unwritable
from snoopsync.core.labels import LABEL_HEADER
from snoopsync.server.operations import BASE
from snoopsync.server.uploads import RequestLimits
from tests.server.helpers import (
    LENGTH,
    PICTURE,
    SLOWLY,
    answer_to,
    ask,
    connect,
    idle,
    signed,
    signed_head,
)
from tests.support.hosted import Hosted, hosted, lives
from tests.support.pictures import encode, photo
from tests.support.process import until


def test_a_client_succeeds_with_two_changes_in_one_second(service: Hosted) -> None:
    with service.client("honest") as client:
        collection = RetryingCollection(client)
        collection.add_image(io.BytesIO(PICTURE), "a")
        for number in range(3):
            collection.add_image(io.BytesIO(encode(photo(number))), "a", update_existing=True)
        assert collection.outage is None


def test_the_health_check_needs_no_key(service: Hosted) -> None:
    assert ask(service, "GET", "/healthz")[:2] == (200, {"status": 200, "message": "OK"})


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v1/nothing", "/api/v1/image/a/b", "/x" * 99]
)
def test_an_unknown_call_is_not_found(service: Hosted, path: str) -> None:
    status, answer, _ = ask(service, "GET", path)
    assert (status, answer["status"]) == (404, 404)
    assert answer["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/image", "POST"),
        ("PATCH", "/api/v1/image/a", "GET, HEAD, POST, PUT, DELETE"),
        ("POST", "/api/v1/images", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
    ],
)
def test_an_unknown_method_is_refused_with_the_allowed_ones(
    service: Hosted, method: str, path: str, allowed: str
) -> None:
    status, answer, headers = ask(service, method, path)
    assert (status, answer["status"], headers["Allow"]) == (405, 405, allowed)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused_and_leaves_no_file(
    service: Hosted, announced: bool
) -> None:
    path, large = "/api/v1/image/large", bytes(2 << 20)
    body = large if announced else iter([large])
    try:
        status, answer, _ = ask(service, "POST", path, body, **signed(service, "POST", path))
        assert (status, answer["message"]) == (413, "larger than 1 MiB")
    except (BrokenPipeError, ConnectionResetError):
        assert announced  # the service closed the connection before the rest
    assert list((service.data / "incoming").iterdir()) == []


def test_a_listing_continues_when_the_start_of_a_page_is_deleted(client: Collection) -> None:
    for number in range(6):
        client.add_image(io.BytesIO(encode(photo(number))), str(number))
    page = client.get_images(count=2)
    assert page["next_image_id"] == "3"
    client.delete_image("3")
    client.add_image(io.BytesIO(encode(photo(9))), "new")
    page = client.get_images(start="3", count=9)
    assert [image["id"] for image in page["images"]] == ["2", "1", "0"]


@pytest.mark.parametrize("query", ["count=x", "count=-1", "count=1e9", "count=", "start="])
def test_an_invalid_count_or_start_is_refused(service: Hosted, query: str) -> None:
    path = f"/api/v1/images?{query}"
    assert ask(service, "GET", path, **signed(service, "GET", path))[0] == 400


def test_an_invalid_picture_is_refused(client: Collection) -> None:
    bomb = encode(photo(3))[:200] + os.urandom(5000)
    with pytest.raises(Refused) as refused:
        client.add_image(io.BytesIO(bomb), "bomb")
    assert refused.value.status in (400, 415)
    client.add_image(io.BytesIO(PICTURE), "sound")


def test_many_concurrent_requests_are_all_answered(service: Hosted, client: Collection) -> None:
    public, secret = service.keys("many")
    failed: list[BaseException] = []

    def add(number: int) -> None:
        try:
            with Collection(public, secret, service.endpoint) as mine:
                for turn in range(3):
                    mine.add_image(io.BytesIO(encode(photo(number))), f"{number}-{turn}")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with Collection(public, secret, service.endpoint) as mine:
        assert len(list(mine.images())) == 24


def test_a_client_that_disconnects_stops_no_other(impatient: Hosted) -> None:
    request = signed_head("/api/v1/image/a", impatient.keys("away"), LENGTH) + PICTURE
    with connect(impatient.port) as connection:
        connection.sendall(request)
        until(lambda: list((impatient.data / "incoming").iterdir()))
    with impatient.client("away") as client:
        until(lambda: [image["id"] for image in client.images()] == ["a"])
    assert list((impatient.data / "incoming").iterdir()) == []


def test_a_key_may_have_a_limited_number_of_requests_in_progress(few: Hosted) -> None:
    public, secret = few.keys("greedy")
    with ExitStack() as stack:
        for number in range(3):
            path = f"/api/v1/image/{number}"
            (connection,) = idle(few.port, 1, stack)
            connection.sendall(signed_head(path, (public, secret), LENGTH) + PICTURE[:100])
        until(lambda: len(list((few.data / "incoming").iterdir())) == 3)
        with Collection(public, secret, few.endpoint) as greedy:
            with pytest.raises(Unavailable, match="3 requests in progress") as refused:
                greedy.get_images()
            assert (refused.value.status, refused.value.retry_after) == (429, 1.0)
        with few.client("other") as other:
            other.get_images()
        connection.sendall(PICTURE[100:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 201")
        with Collection(public, secret, few.endpoint) as greedy:
            assert [image["id"] for image in greedy.images()] == ["2"]


def test_requests_without_a_picture_do_not_wait_for_pictures(tmp_path: Path) -> None:
    with hosted(tmp_path / "data", RequestLimits(requests_at_once=1), SLOWLY) as service:
        keys = service.keys("busy")
        done: list[str] = []

        def add(number: int) -> None:
            with Collection(*keys, service.endpoint) as client:
                client.add_image(io.BytesIO(PICTURE), str(number))
            done.append(str(number))

        adding = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for thread in adding:
            thread.start()
        until(lambda: len(list((service.data / "incoming").iterdir())) == 4)
        assert ask(service, "GET", "/healthz")[0] == 200
        with Collection(*keys, service.endpoint) as client:
            client.get_images()
            for call in (client.get_image, client.delete_image):
                with suppress(NotFound):
                    call("none")
        assert len(done) < 4
        for thread in adding:
            thread.join()
        assert sorted(done) == ["0", "1", "2", "3"]


def test_an_error_of_the_service_is_a_503_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hosted(tmp_path / "data") as service, service.client("x") as client:
        with closing(sqlite3.connect(service.data / "keys.sqlite3")) as other:
            other.execute("DROP TABLE key")
        for _ in range(2):
            with pytest.raises(Unavailable) as refused:
                client.get_images()
            assert (refused.value.status, refused.value.retry_after) == (503, 2.0)
            assert str(tmp_path) not in str(refused.value)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert said == [f"{tmp_path / 'data' / 'keys.sqlite3'}: no such table: key"]


def _full() -> int:
    """Return a descriptor of a file on a full disk."""
    return os.open("/dev/full", os.O_WRONLY)


def test_an_unwritable_directory_is_a_503_and_a_full_disk_a_507(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosted(tmp_path / "data") as service, service.client("x") as client:
        (service.data / "incoming").rmdir()
        with pytest.raises(Unavailable) as refused:
            client.add_image(io.BytesIO(PICTURE), "a")
        assert refused.value.status == 503
        monkeypatch.setattr("tempfile.mkstemp", lambda **_: (_full(), str(tmp_path / "x")))
        with pytest.raises(Unwritable) as unwritable:
            client.add_image(io.BytesIO(PICTURE), "b")
        assert unwritable.value.status == 507


def test_the_access_log_contains_the_keys_of_authorized_requests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.access")
    with hosted(tmp_path / "data") as service:
        public, secret = service.keys("x")
        with Collection(public, secret, service.endpoint) as client:
            client.get_images(count=3)
        with Collection(public, "wrong", service.endpoint) as client, pytest.raises(Unauthorized):
            client.get_images()
    lines = [record.getMessage() for record in caplog.records if record.name == "snoopsync.access"]
    took, refused = lines
    assert took.startswith(f"GET /api/v1/images 200 {public} ")
    assert refused.startswith("GET /api/v1/images 401 - ")
    assert secret not in caplog.text


def test_a_long_path_is_shortened_in_the_log(
    service: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.access")
    request = f"GET /{'x' * 10_000} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert answer_to(service.port, request.encode())[0] == 404
    [line] = [record.getMessage() for record in caplog.records if "/xxx" in record.getMessage()]
    assert re.fullmatch(r"GET /x{199}\.\.\. 404 - \d+ ms", line)


def test_a_key_with_many_waiting_pictures_does_not_block_another(
    tmp_path: Path,
) -> None:
    with hosted(
        tmp_path / "data",
        RequestLimits(pictures_at_once=1),
        "tests.support.decoder_work:slowly",
    ) as service:
        done: list[str] = []

        def add(keys: tuple[str, str], name: str) -> None:
            with Collection(*keys, service.endpoint) as client:
                client.add_image(io.BytesIO(PICTURE), name)
            done.append(name)

        incoming = service.data / "incoming"
        many, few = service.keys("many"), service.keys("few")
        adding = [threading.Thread(target=add, args=(many, f"many{n}")) for n in range(4)]
        for thread in adding:
            thread.start()
        until(lambda: len(list(incoming.iterdir())) == 4)
        adding.append(threading.Thread(target=add, args=(few, "few")))
        adding[-1].start()
        for thread in adding:
            thread.join()
        assert done.index("few") <= 2


def holds(folder: Path, count: int) -> bool:
    return len(list(folder.iterdir())) == count


def test_a_waiting_request_is_dropped_when_its_client_disconnects(tmp_path: Path) -> None:
    with hosted(
        tmp_path / "data",
        RequestLimits(pictures_at_once=1),
        "tests.support.decoder_work:slowly",
    ) as service:
        keys, incoming = service.keys("away"), service.data / "incoming"
        with ExitStack() as stack:
            for number in range(3):
                path = f"/api/v1/image/{number}"
                connection = stack.enter_context(connect(service.port))
                head = signed_head(path, keys, LENGTH)
                connection.sendall(head + PICTURE)
                until(partial(holds, incoming, number + 1))
            stack.close()
            until(lambda: len(list(incoming.iterdir())) == 1)
        until(lambda: not list(incoming.iterdir()))
        with Collection(*keys, service.endpoint) as client:
            until(lambda: [image["id"] for image in client.images()] == ["0"])


@pytest.mark.integration
def test_the_service_is_unhealthy_while_it_cannot_decode(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hosted(data) as service, service.client("a") as collection:
        collection.add_image(PICTURE, "a")
        zygote = psutil.Process(service.decoders.zygote_id)
        killed = [zygote, *zygote.children()]
        with monkeypatch.context() as patch:
            for each in killed:
                each.kill()
            until(lambda: not any(lives(each) for each in killed))
            patch.setattr(sys, "executable", "/nowhere/python")
            with pytest.raises(Unavailable):
                collection.add_image(PICTURE, "b")
            assert ask(service, "GET", "/healthz")[0] == 503
        why = "the decoder processes cannot be started: /nowhere/python: No such file or directory"
        assert why in caplog.text
        assert ask(service, "GET", "/healthz")[0] == 200
        assert collection.add_image(PICTURE, "c")["status"] == 201


def test_a_label_is_signed_and_changes_something_only_once(service: Hosted) -> None:
    name = "label signed"
    with service.client(name) as client:
        client.add_image(PICTURE, "a")
    path = f"{BASE}/image/a/label"
    headers = signed(service, "POST", path, name)
    assert ask(service, "POST", path, **{LABEL_HEADER: "one"})[0] == 401
    status, answer, _ = ask(service, "POST", path, **headers, **{LABEL_HEADER: "one%20%C3%A9"})
    assert (status, answer["image_id"], answer["label"]) == (200, "a", "one é")
    assert ask(service, "POST", path, **headers)[0] == 425
    assert ask(service, "GET", path, **signed(service, "GET", path, name))[0] == 405


def test_an_empty_label_clears_it(service: Hosted) -> None:
    name = "label empty"
    with service.client(name) as client:
        client.add_image(PICTURE, "a", label="one")
        assert client.get_image("a")["label"] == "one"
        path = f"{BASE}/image/a/label"
        headers = signed(service, "POST", path, name)
        status, answer, _ = ask(service, "POST", path, **headers, **{LABEL_HEADER: ""})
        assert (status, "label" in answer, "label" in client.get_image("a")) == (200, False, False)


@pytest.mark.parametrize("label", ["%ff", "%0A", "%C2%85", "%00", "x" * 513, "%E5%86%99" * 171])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/image/b"), ("PUT", "/image/a"), ("POST", "/image/a/label")]
)
def test_an_invalid_label_is_answered_400_and_changes_nothing(
    service: Hosted, request: pytest.FixtureRequest, method: str, path: str, label: str
) -> None:
    name = request.node.name[:100]
    with service.client(name) as client:
        client.add_image(PICTURE, "a")
        headers = signed(service, method, BASE + path, name)
        body = None if path.endswith("label") else PICTURE
        status, answer, _ = ask(
            service, method, BASE + path, body, **headers, **{LABEL_HEADER: label}
        )
        assert (status, answer["status"], "label" in answer["message"]) == (400, 400, True)
        assert [each["id"] for each in client.images()] == ["a"]
        assert "label" not in client.get_image("a")


def test_the_log_shows_questions_of_a_load_balancer_only_if_something_is_wrong(
    service: Hosted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "snoopsync.access")
    assert ask(service, "GET", "/healthz")[0] == 200
    monkeypatch.setattr(service.application, "_is_ready", False)
    assert ask(service, "GET", "/healthz")[0] == 503
    levels = [record.levelno for record in caplog.records if "/healthz" in record.getMessage()]
    assert levels == [logging.DEBUG, logging.INFO]
