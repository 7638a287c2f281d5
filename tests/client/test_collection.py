"""The HTTP client over real sockets: what it sends, and what it keeps secret."""

from __future__ import annotations

import errno
import io
import logging
import os
import socket
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    FileChanged,
    Refused,
    Unauthorized,
    Unreachable,
)
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import (
    Fault,
    Reply,
    answers,
    reset_before,
)
from tests.support.pictures import encode, photo
from tests.support.raw_service import raw_service

PICTURE = encode(photo(1))


def test_a_request_carries_its_date_and_the_clients_version(
    server: CollectionServer, client: Collection
) -> None:
    client.get_images()
    headers = server.requests[0].headers
    assert headers["Date"].endswith(" GMT")
    assert abs(parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < 60
    assert headers["X-Visualsnoop-Client-Version"].startswith("snoopsync/")


def test_a_number_is_an_id(server: CollectionServer, client: Collection) -> None:
    assert client.add_image(PICTURE, 12)["image_id"] == "12"
    assert client.add_image(PICTURE, image_id=12, update_existing=True)["message"] == "Updated"
    assert client.get_image(12)["image_id"] == "12"
    client.add_image(PICTURE, 13)
    assert client.search_images_by_id(12)["results"][0]["id"] == "13"
    assert client.get_images(start=12)["images"][-1]["id"] == "12"
    assert client.delete_image(12)["message"] == "Deleted"
    assert [image["id"] for image in client.images()] == ["13"]


@pytest.mark.parametrize("odd", [True, 1.0, b"12", ["12"]])
def test_nothing_else_is_an_id(client: Collection, odd: Any) -> None:
    with pytest.raises(Refused, match="an image ID must be a text or a number"):
        client.get_image(odd)
    with pytest.raises(Refused):
        client.add_image(PICTURE, odd)


def test_the_wrong_secret_is_unauthorized(server: CollectionServer) -> None:
    with (
        Collection(PUBLIC_KEY, "wrong", server.endpoint) as client,
        pytest.raises(Unauthorized) as caught,
    ):
        client.get_images()
    assert (caught.value.status, caught.value.permanent) == (401, True)


def test_every_answer_shows_how_far_our_clock_is_ahead(server: CollectionServer) -> None:
    with Collection(
        PUBLIC_KEY, SECRET_KEY, server.endpoint, now=lambda: time.time() + 500.0
    ) as client:
        assert client.clock_ahead_seconds is None
        client.get_images()
        assert client.clock_ahead_seconds == pytest.approx(500.0, abs=10.0)
        server.faults.append(answers(503, Date="Thu, 01 Jan 1970 00:00:00 GMT"))
        with pytest.raises(CollectionError):
            client.get_images()
        assert client.clock_ahead_seconds == pytest.approx(time.time() + 500.0, abs=10.0)
        server.faults.append(answers(503, Date="yesterday"))
        with pytest.raises(CollectionError):
            client.get_images()
        assert client.clock_ahead_seconds is None


def test_the_session_is_requested_once_and_only_when_needed(
    server: CollectionServer, client: Collection
) -> None:
    assert server.requests == []
    assert (client.id, client.name, client.user, client.id) == (
        server.collection.id,
        server.collection.name,
        server.collection.user,
        server.collection.id,
    )
    assert [seen.query for seen in server.requests] == [{"session": "init"}]


def test_the_bytes_arrive_as_they_are_with_their_length(
    server: CollectionServer, client: Collection, tmp_path: Path
) -> None:
    path = tmp_path / "large.bmp"
    path.write_bytes(encode(photo(2, (900, 700)), "BMP"))
    client.add_image(path, "large")
    seen = server.requests[0]
    assert seen.length == int(seen.headers["Content-Length"]) == path.stat().st_size
    assert server.contents["large"] == seen.sha256
    assert "Transfer-Encoding" not in seen.headers


@pytest.mark.parametrize("fault", [None, reset_before(), answers(415)])
def test_a_file_that_was_opened_is_closed(
    server: CollectionServer, client: Collection, tmp_path: Path, fault: Fault | None
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PICTURE)
    server.faults.append(fault)
    try:
        client.add_image(path, "a")
    except CollectionError:
        assert fault
    open_files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert path not in open_files


def test_a_stream_that_can_not_seek_is_sent_completely(
    server: CollectionServer, client: Collection
) -> None:
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool, open(reading, "rb") as stream:  # noqa: PTH123 - a pipe has no path

        def write() -> None:
            with open(writing, "wb") as sink:  # noqa: PTH123 - a pipe has no path
                sink.write(PICTURE)

        pool.submit(write)
        client.add_image(stream, "a")
    assert server.requests[0].length == len(PICTURE)


class BadFile(io.BytesIO):
    """A file that raises an error after a number of bytes."""

    def __init__(self, content: bytes, error: Exception, after: int) -> None:
        super().__init__(content)
        self._error = error
        self._after = after

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self._after:
            raise self._error
        return super().read(size)


@pytest.mark.parametrize(
    "error",
    [
        FileChanged("it changed"),
        OSError(errno.EIO, "bad disk"),
        BrokenPipeError(errno.EPIPE, "looks like the connection's"),
        ConnectionResetError(errno.ECONNRESET, "looks like the connection's"),
        TimeoutError("looks like the connection's"),
        RuntimeError("anything"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("after", [0, 64 * 1024, 200_000], ids=["start", "middle", "end"])
def test_an_error_of_reading_is_raised_and_no_complete_body_arrives(
    server: CollectionServer, client: Collection, error: Exception, after: int
) -> None:
    with pytest.raises(type(error)) as caught:
        client.add_image(BadFile(bytes(200_000), error, after), "a")
    assert caught.value is error
    client.add_image(io.BytesIO(PICTURE), "b")  # a new connection: the broken one is not used
    assert not any(seen.whole for seen in server.requests if seen.image_id == "a")
    assert set(server.contents) == {"b"}


@pytest.mark.parametrize("change", [-1, 1, -150_000, 150_000])
def test_a_file_that_grows_or_shrinks_while_it_is_sent_is_not_stored(
    server: CollectionServer, client: Collection, tmp_path: Path, change: int
) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(bytes(200_000))

    class Changing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            piece = super().read(size)
            os.truncate(path, 200_000 + change)
            return bytes(piece or b"")

    with Changing(path) as file, pytest.raises(FileChanged, match=r"growing\.jpg"):
        client.add_image(file, "a")
    client.get_images()
    assert not any(seen.whole for seen in server.requests if seen.method == "POST")
    assert server.contents == {}


def test_an_empty_file_that_grows_is_not_sent_as_empty(
    server: CollectionServer, client: Collection
) -> None:
    class Growing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return b"more"

    with pytest.raises(FileChanged):
        client.add_image(Growing(), "a")
    assert server.requests == []


def test_an_empty_answer_to_a_change_succeeds_by_its_status(
    server: CollectionServer, client: Collection
) -> None:
    def without_content(do: Callable[[], Reply]) -> Reply:
        return Reply(201 if do().status == 201 else 204)

    server.fault_for = lambda seen: None if seen.method == "GET" else without_content
    assert client.add_image(io.BytesIO(PICTURE), "a")["image_id"] == "a"
    assert client.add_image(io.BytesIO(PICTURE), "a", update_existing=True)["status"] == 204
    assert client.delete_image("a")["image_id"] == "a"
    assert list(server.collection.images()) == []


@pytest.mark.parametrize("status", [200, 201, 204])
def test_a_service_whose_answers_are_all_empty_is_not_a_collection(
    server: CollectionServer, client: Collection, status: int
) -> None:
    server.fault_for = lambda _seen: answers(status)
    with pytest.raises(BadAnswer):
        client.add_image(io.BytesIO(PICTURE), "a")
    with pytest.raises(BadAnswer):
        client.add_image(io.BytesIO(PICTURE), "a", update_existing=True)
    with pytest.raises(BadAnswer):
        client.delete_image("a")


def test_services_that_swap_200_and_201_are_understood(
    server: CollectionServer, client: Collection
) -> None:
    def swapped(do: Callable[[], Reply]) -> Reply:
        reply = do()
        return Reply({200: 201, 201: 200}[reply.status], reply.body)

    server.fault_for = lambda _seen: swapped
    assert client.add_image(io.BytesIO(PICTURE), "a")["status"] == 200
    assert client.add_image(io.BytesIO(PICTURE), "a", update_existing=True)["status"] == 201


def test_a_netrc_does_not_replace_the_signature(
    server: CollectionServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as client:
        client.get_images()
    assert server.requests[0].headers["Authorization"].startswith("VSHMAC ")


def test_a_proxy_of_the_environment_is_used_and_gets_odd_ids_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[bytes] = []
    body = b'{"status": 404, "message": "no such image"}'

    def proxy(connection: socket.socket) -> None:
        lines.append(connection.recv(65536).split(b"\r\n")[0])
        head = f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)

    with raw_service(proxy) as address:
        monkeypatch.setenv("http_proxy", address)
        monkeypatch.delenv("no_proxy", raising=False)
        with (
            Collection("k", "s", "http://collection.test/api/v1") as client,
            pytest.raises(CollectionError, match="404"),
        ):
            client.get_image("..")
    assert lines == [b"GET http://collection.test/api/v1/image/%2E%2E HTTP/1.1"]


def test_closing_ends_the_calls_in_progress(server: CollectionServer) -> None:
    hang = server.hang_next()
    client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.get_images)
        assert hang.reached.wait(10)
        client.close()
        with pytest.raises(Unreachable):
            call.result(10)
    with pytest.raises(Unreachable, match="closed"):
        client.get_images()


def test_several_threads_may_call_at_once(server: CollectionServer, client: Collection) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [f"image {number}" for number in range(40)]
        list(pool.map(lambda image_id: client.add_image(io.BytesIO(PICTURE), image_id), ids))
    assert sorted(server.contents) == sorted(ids)


def test_connections_are_kept_for_the_next_call(
    server: CollectionServer, client: Collection
) -> None:
    for _ in range(5):
        client.get_images()
    assert len({seen.peer_port for seen in server.requests}) == 1


def test_the_secret_is_in_no_text_no_log_and_no_traceback(
    server: CollectionServer, client: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = [repr(client), str(vars(client))]
    for fault in (reset_before(), answers(401), answers(503), answers(200, b"<html>")):
        server.faults.append(fault)
        with pytest.raises(CollectionError) as caught:
            client.get_image("a")
        error = caught.value
        shown += ["".join(traceback.format_exception(error)), repr(vars(error))]
        assert error.__context__ is None
        assert error.__cause__ is None
    shown.append(caplog.text)
    assert SECRET_KEY not in "".join(shown)
    assert "VSHMAC" not in "".join(shown)


@pytest.mark.parametrize(
    "endpoint",
    ["visualsnoop.com/api", "ftp://host/", "http://", "http://me:pw@host/", "http://h/?a"],
)
def test_an_invalid_endpoint_is_an_error(endpoint: str) -> None:
    with pytest.raises(ValueError, match="an endpoint"):
        Collection("k", "s", endpoint)


def test_an_endpoint_may_end_in_a_slash_or_have_no_path(server: CollectionServer) -> None:
    with Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint + "/") as client:
        client.get_images()
    assert server.requests[0].path == "/api/v1/images"
