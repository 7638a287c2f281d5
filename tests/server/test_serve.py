"""The collection as a service: keys, signatures, and invalid requests."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.client.signing import Signer
from snoopsync.core.addresses import Address
from snoopsync.core.errors import NotFound, Refused, SnoopsyncError, Unauthorized, Unavailable
from snoopsync.server.http import open_listener
from snoopsync.server.master_key import load_master_key
from snoopsync.server.registry import Registry
from snoopsync.server.signature import WINDOW_SECONDS, SignedRequest, Verifier
from snoopsync.server.uploads import RequestLimits
from tests.support.hosted import Hosted, hosted
from tests.support.pictures import encode, photo

PICTURE = encode(photo(1))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("hosted"), RequestLimits(body_bytes=1 << 20)) as service:
        yield service


@pytest.fixture
def client(service: Hosted, request: pytest.FixtureRequest) -> Iterator[Collection]:
    with service.client(request.node.name[:100]) as client:
        yield client


# Keys.


def test_each_key_opens_only_its_collection(service: Hosted) -> None:
    with service.client("one") as one, service.client("two") as two, service.client("one") as again:
        one.add_image(io.BytesIO(PICTURE), "a")
        assert again.get_image("a")["image_id"] == "a"
        assert again.id == one.id != two.id
        assert (one.name, two.name) == ("one", "two")
        with pytest.raises(NotFound):
            two.get_image("a")
        assert two.search_images(io.BytesIO(PICTURE))["results"] == []


def test_a_revoked_key_is_refused_at_once_and_the_other_is_not(service: Hosted) -> None:
    public, secret = service.keys("revoked")
    with Collection(public, secret, service.endpoint) as client:
        client.get_images()
        assert service.registry.revoke(public)
        assert not service.registry.revoke(public)
        with pytest.raises(Unauthorized):
            client.get_images()
    with service.client("revoked") as other:
        other.get_images()


def test_an_unknown_key_and_a_wrong_secret_get_the_same_answer(service: Hosted) -> None:
    public, secret = service.keys("alike")
    said = set()
    for keys in ((public, "wrong"), ("unknown", secret), ("unknown", "wrong")):
        with Collection(*keys, service.endpoint) as client, pytest.raises(Unauthorized) as refused:
            client.get_images()
        said.add((refused.value.status, refused.value.message))
    assert len(said) == 1


def test_the_stored_data_signs_nothing_without_the_master_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with closing(Registry(data)) as registry:
        key = registry.add_key("shop")
    secret = load_master_key(data, {}).secret_of(key.public_key)
    kept = [path for path in data.rglob("*") if path.is_file()]
    assert {path.name for path in kept} >= {"keys.sqlite3", "master.key"}
    assert not any(secret.encode() in path.read_bytes() for path in kept)
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in kept)
    assert load_master_key(data, {}).secret_of(key.public_key) == secret
    (data / "master.key").unlink()
    assert load_master_key(data, {}).secret_of(key.public_key) != secret


def test_a_master_key_that_others_can_read_is_refused_with_the_fix(tmp_path: Path) -> None:
    load_master_key(tmp_path, {})
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(SnoopsyncError, match="chmod 600"):
        load_master_key(tmp_path, {})


def test_a_credential_takes_precedence_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "snoopsync-master-key").write_text("ab" * 32)
    master = load_master_key(tmp_path / "data", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert master.secret_of("x") != load_master_key(tmp_path / "data", {}).secret_of("x")
    (tmp_path / "snoopsync-master-key").write_text("too short")
    with pytest.raises(SnoopsyncError, match="not a master key"):
        load_master_key(tmp_path / "data", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


# Signatures.

NOW = 1_800_000_000.0


def signed_request(
    method: str = "PUT", date: float = NOW, image_id: str = "/a", secret: str = "s"
) -> SignedRequest:
    path = f"/api/v1/image{image_id}"
    headers = Signer("key", secret).headers(method, path, date)
    return SignedRequest(
        method,
        path,
        headers["Date"],
        headers["Authorization"],
        changes=method != "GET",
        is_unique=bool(image_id),
    )


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(lambda _public_key: "s", NOW - 3600.0)


@pytest.mark.parametrize("off", [-WINDOW_SECONDS + 1, -60.0, 0.0, 60.0, WINDOW_SECONDS - 1])
def test_a_date_within_a_quarter_of_an_hour_is_accepted(verifier: Verifier, off: float) -> None:
    verifier.check(signed_request(date=NOW + off), NOW, key_exists=True)


@pytest.mark.parametrize("off", [-WINDOW_SECONDS - 2, WINDOW_SECONDS + 2])
def test_another_date_is_refused_with_the_time_of_the_service(
    verifier: Verifier, off: float
) -> None:
    with pytest.raises(Unauthorized, match=formatdate(NOW, usegmt=True)):
        verifier.check(signed_request(date=NOW + off), NOW, key_exists=True)


def test_no_date_is_refused(verifier: Verifier) -> None:
    headers = Signer("key", "s").headers("GET", "/x", NOW)
    for date in ("", "soon", "Thu, 99 Foo 2026 00:00:00 GMT"):
        bad = SignedRequest(
            "GET", "/x", date, headers["Authorization"], changes=False, is_unique=False
        )
        with pytest.raises(Unauthorized):
            verifier.check(bad, NOW, key_exists=True)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_change_is_accepted_once(verifier: Verifier, method: str) -> None:
    verifier.check(signed_request(method), NOW, key_exists=True)
    for later in (0.0, 1.0, WINDOW_SECONDS - 1):
        with pytest.raises(Unavailable) as again:
            verifier.check(signed_request(method), NOW + later, key_exists=True)
        assert (again.value.status, again.value.retry_after) == (425, 1.0)
    verifier.check(signed_request(method, NOW + 1), NOW + 1, key_exists=True)


def test_a_read_may_be_repeated(verifier: Verifier) -> None:
    for _ in range(3):
        verifier.check(signed_request("GET"), NOW, key_exists=True)


def test_images_without_an_id_may_be_repeated_within_a_second_only(verifier: Verifier) -> None:
    for _ in range(3):
        verifier.check(signed_request("POST", image_id=""), NOW + 1.0, key_exists=True)
    verifier.check(signed_request("POST", image_id=""), NOW + 60.0, key_exists=True)
    with pytest.raises(Unavailable):
        verifier.check(signed_request("POST", image_id=""), NOW + 61.0, key_exists=True)


def test_a_change_that_was_signed_before_the_start_must_be_signed_again(verifier: Verifier) -> None:
    """The service does not remember whether it accepted the change before."""
    late = Verifier(lambda _public_key: "s", NOW)
    with pytest.raises(Unavailable):
        late.check(signed_request(date=NOW - 60.0), NOW, key_exists=True)
    late.check(signed_request("GET", NOW - 60.0), NOW, key_exists=True)


def test_a_client_succeeds_with_two_changes_in_one_second(service: Hosted) -> None:
    with service.client("honest") as client:
        collection = RetryingCollection(client)
        collection.add_image(io.BytesIO(PICTURE), "a")
        for number in range(3):
            collection.add_image(io.BytesIO(encode(photo(number))), "a", update_existing=True)
        assert collection.outage is None


# HTTP.


def signed(service: Hosted, method: str, path: str, name: str = "raw") -> dict[str, str]:
    public, secret = service.keys(name)
    return Signer(public, secret).headers(method, path.partition("?")[0], time.time())


def ask(
    service: Hosted, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20.0)
    with closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        return response.status, json.loads(data) if data else {}, response.headers


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


def test_a_head_request_gets_no_body(service: Hosted) -> None:
    path = "/api/v1/images"
    status, answer, headers = ask(service, "HEAD", path, **signed(service, "HEAD", path))
    assert (status, answer) == (200, {})
    assert int(headers["Content-Length"]) > 0


def test_a_chunked_body_is_accepted(service: Hosted) -> None:
    path = "/api/v1/image/chunks"
    pieces = (PICTURE[at : at + 1000] for at in range(0, len(PICTURE), 1000))
    assert ask(service, "POST", path, pieces, **signed(service, "POST", path))[0] == 201


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


def raw(service: Hosted, data: bytes, *, ends: bool = True) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", service.port), 20.0)) as connection:
        connection.sendall(data)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def test_an_incomplete_body_is_no_image(service: Hosted, client: Collection) -> None:
    path = "/api/v1/image/short"
    headers = signed(service, "POST", path, client.name)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(PICTURE)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    raw(service, head.encode() + b"\r\n" + PICTURE[:-5])
    with pytest.raises(NotFound):
        client.get_image("short")
    assert list((service.data / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host header
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx",
    ],
)
def test_input_that_is_not_http_gets_an_answer_in_json(service: Hosted, data: bytes) -> None:
    received = raw(service, data)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert json.loads(body)["status"] in (400, 431)
    assert ask(service, "GET", "/healthz")[0] == 200


@pytest.mark.integration
def test_an_incomplete_head_is_disconnected(service: Hosted) -> None:
    with closing(socket.create_connection(("127.0.0.1", service.port), 20.0)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(100_000):
                connection.sendall(b"X: " + b"y" * 10_000 + b"\r\n")
    assert ask(service, "GET", "/healthz")[0] == 200


def test_pipelined_requests_are_answered_in_order(service: Hosted) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = raw(service, one + one + last, ends=False)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"200", b"404"]


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


# Hostile pictures.


def test_an_invalid_picture_is_refused(client: Collection) -> None:
    bomb = encode(photo(3))[:200] + os.urandom(5000)
    with pytest.raises(Refused) as refused:
        client.add_image(io.BytesIO(bomb), "bomb")
    assert refused.value.status in (400, 415)
    client.add_image(io.BytesIO(PICTURE), "sound")


def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    with (
        closing(open_listener(Address("127.0.0.1", 0))) as listener,
        closing(socket.create_connection(listener.getsockname())),
    ):
        connection, _ = listener.accept()
        with closing(connection):
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


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
