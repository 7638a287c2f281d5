"""The collection as a service: who may do what, and what becomes of hostile requests."""

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
from snoopsync.core.errors import NotFound, Refused, SnoopsyncError, Unauthorized, Unavailable
from snoopsync.server.http import listening
from snoopsync.server.master_key import load_master_key
from snoopsync.server.registry import Registry
from snoopsync.server.signature import WINDOW_SECONDS, Claim, Verifier
from snoopsync.server.uploads import Limits
from tests.support.hosted import Hosted, hosted
from tests.support.pictures import encode, photo

PICTURE = encode(photo(1))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("hosted"), Limits(body_bytes=1 << 20)) as service:
        yield service


@pytest.fixture
def client(service: Hosted, request: pytest.FixtureRequest) -> Iterator[Collection]:
    with service.client(request.node.name[:100]) as client:
        yield client


# Keys.


def test_each_collection_is_for_its_own_keys(service: Hosted) -> None:
    with service.client("one") as one, service.client("two") as two, service.client("one") as again:
        one.add_image(io.BytesIO(PICTURE), "a")
        assert again.get_image("a")["image_id"] == "a"
        assert again.id == one.id != two.id
        assert (one.name, two.name) == ("one", "two")
        with pytest.raises(NotFound):
            two.get_image("a")
        assert two.search_images(io.BytesIO(PICTURE))["results"] == []


def test_a_key_that_is_revoked_is_refused_at_once_and_the_other_is_not(service: Hosted) -> None:
    public, secret = service.keys("revoked")
    with Collection(public, secret, service.endpoint) as client:
        client.get_images()
        assert service.registry.revoke(public)
        assert not service.registry.revoke(public)
        with pytest.raises(Unauthorized):
            client.get_images()
    with service.client("revoked") as other:
        other.get_images()


def test_an_unknown_key_and_a_wrong_secret_are_answered_alike(service: Hosted) -> None:
    public, secret = service.keys("alike")
    said = set()
    for keys in ((public, "wrong"), ("unknown", secret), ("unknown", "wrong")):
        with Collection(*keys, service.endpoint) as client, pytest.raises(Unauthorized) as refused:
            client.get_images()
        said.add((refused.value.status, refused.value.message))
    assert len(said) == 1


def test_what_is_kept_signs_nothing_without_the_master_key(tmp_path: Path) -> None:
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


def test_a_master_key_that_others_can_read_is_refused_with_what_mends_it(tmp_path: Path) -> None:
    load_master_key(tmp_path, {})
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(SnoopsyncError, match="chmod 600"):
        load_master_key(tmp_path, {})


def test_a_credential_comes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "snoopsync-master-key").write_text("ab" * 32)
    master = load_master_key(tmp_path / "data", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert master.secret_of("x") != load_master_key(tmp_path / "data", {}).secret_of("x")
    (tmp_path / "snoopsync-master-key").write_text("too short")
    with pytest.raises(SnoopsyncError, match="no master key"):
        load_master_key(tmp_path / "data", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


# Signatures: when, and how often.

NOW = 1_800_000_000.0


def claim(method: str = "PUT", date: float = NOW, image_id: str = "/a", secret: str = "s") -> Claim:
    path = f"/api/v1/image{image_id}"
    headers = Signer("key", secret).headers(method, path, date)
    return Claim(
        method,
        path,
        headers["Date"],
        headers["Authorization"],
        changes=method != "GET",
        once=bool(image_id),
    )


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(lambda _public_key: "s", NOW - 3600.0)


@pytest.mark.parametrize("off", [-WINDOW_SECONDS + 1, -60.0, 0.0, 60.0, WINDOW_SECONDS - 1])
def test_a_date_within_a_quarter_of_an_hour_is_taken(verifier: Verifier, off: float) -> None:
    verifier.check(claim(date=NOW + off), NOW, known=True)


@pytest.mark.parametrize("off", [-WINDOW_SECONDS - 2, WINDOW_SECONDS + 2])
def test_another_date_is_refused_with_the_time_here(verifier: Verifier, off: float) -> None:
    with pytest.raises(Unauthorized, match=formatdate(NOW, usegmt=True)):
        verifier.check(claim(date=NOW + off), NOW, known=True)


def test_no_date_is_refused(verifier: Verifier) -> None:
    headers = Signer("key", "s").headers("GET", "/x", NOW)
    for date in ("", "soon", "Thu, 99 Foo 2026 00:00:00 GMT"):
        bad = Claim("GET", "/x", date, headers["Authorization"], changes=False, once=False)
        with pytest.raises(Unauthorized):
            verifier.check(bad, NOW, known=True)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_change_is_taken_once(verifier: Verifier, method: str) -> None:
    verifier.check(claim(method), NOW, known=True)
    for later in (0.0, 1.0, WINDOW_SECONDS - 1):
        with pytest.raises(Unavailable) as again:
            verifier.check(claim(method), NOW + later, known=True)
        assert (again.value.status, again.value.retry_after) == (425, 1.0)
    verifier.check(claim(method, NOW + 1), NOW + 1, known=True)


def test_a_question_may_be_asked_again(verifier: Verifier) -> None:
    for _ in range(3):
        verifier.check(claim("GET"), NOW, known=True)


def test_images_without_an_id_may_come_in_one_second_and_not_later(verifier: Verifier) -> None:
    for _ in range(3):
        verifier.check(claim("POST", image_id=""), NOW + 1.0, known=True)
    verifier.check(claim("POST", image_id=""), NOW + 60.0, known=True)
    with pytest.raises(Unavailable):
        verifier.check(claim("POST", image_id=""), NOW + 61.0, known=True)


def test_a_change_that_was_signed_before_the_start_is_put_off(verifier: Verifier) -> None:
    """Whether it was taken already, nobody remembers."""
    late = Verifier(lambda _public_key: "s", NOW)
    with pytest.raises(Unavailable):
        late.check(claim(date=NOW - 60.0), NOW, known=True)
    late.check(claim("GET", NOW - 60.0), NOW, known=True)


def test_an_honest_client_gets_through_with_two_changes_in_one_second(service: Hosted) -> None:
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


def test_anybody_may_ask_whether_it_works(service: Hosted) -> None:
    assert ask(service, "GET", "/healthz")[:2] == (200, {"status": 200, "message": "OK"})


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v1/nothing", "/api/v1/image/a/b", "/x" * 99]
)
def test_what_is_no_call_is_not_found(service: Hosted, path: str) -> None:
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
def test_another_method_is_refused_with_those_there_are(
    service: Hosted, method: str, path: str, allowed: str
) -> None:
    status, answer, headers = ask(service, method, path)
    assert (status, answer["status"], headers["Allow"]) == (405, 405, allowed)


def test_a_head_has_no_body(service: Hosted) -> None:
    path = "/api/v1/images"
    status, answer, headers = ask(service, "HEAD", path, **signed(service, "HEAD", path))
    assert (status, answer) == (200, {})
    assert int(headers["Content-Length"]) > 0


def test_a_body_in_chunks_is_taken(service: Hosted) -> None:
    path = "/api/v1/image/chunks"
    pieces = (PICTURE[at : at + 1000] for at in range(0, len(PICTURE), 1000))
    assert ask(service, "POST", path, pieces, **signed(service, "POST", path))[0] == 201


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused_and_leaves_nothing(
    service: Hosted, announced: bool
) -> None:
    path, large = "/api/v1/image/large", bytes(2 << 20)
    body = large if announced else iter([large])
    try:
        status, answer, _ = ask(service, "POST", path, body, **signed(service, "POST", path))
        assert (status, answer["message"]) == (413, "larger than 1 MiB")
    except (BrokenPipeError, ConnectionResetError):
        assert announced  # it hung up on the rest of it
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


def test_a_body_that_ends_too_early_is_no_image(service: Hosted, client: Collection) -> None:
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
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx",
    ],
)
def test_what_is_no_http_is_told_so_in_json(service: Hosted, data: bytes) -> None:
    received = raw(service, data)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert json.loads(body)["status"] in (400, 431)
    assert ask(service, "GET", "/healthz")[0] == 200


@pytest.mark.integration
def test_a_head_without_an_end_is_hung_up_on(service: Hosted) -> None:
    with closing(socket.create_connection(("127.0.0.1", service.port), 20.0)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(100_000):
                connection.sendall(b"X: " + b"y" * 10_000 + b"\r\n")
    assert ask(service, "GET", "/healthz")[0] == 200


def test_requests_in_a_pipeline_are_answered_in_turn(service: Hosted) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = raw(service, one + one + last, ends=False)
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"200", b"404"]


def test_a_listing_goes_on_where_it_was_when_that_image_is_gone(client: Collection) -> None:
    for number in range(6):
        client.add_image(io.BytesIO(encode(photo(number))), str(number))
    page = client.get_images(count=2)
    assert page["next_image_id"] == "3"
    client.delete_image("3")
    client.add_image(io.BytesIO(encode(photo(9))), "new")
    page = client.get_images(start="3", count=9)
    assert [image["id"] for image in page["images"]] == ["2", "1", "0"]


@pytest.mark.parametrize("query", ["count=x", "count=-1", "count=1e9", "count=", "start="])
def test_a_count_or_a_start_that_is_none_is_refused(service: Hosted, query: str) -> None:
    path = f"/api/v1/images?{query}"
    assert ask(service, "GET", path, **signed(service, "GET", path))[0] == 400


# Hostile pictures.


def test_a_picture_that_is_none_is_refused(client: Collection) -> None:
    bomb = encode(photo(3))[:200] + os.urandom(5000)
    with pytest.raises(Refused) as refused:
        client.add_image(io.BytesIO(bomb), "bomb")
    assert refused.value.status in (400, 415)
    client.add_image(io.BytesIO(PICTURE), "sound")


def test_an_answer_does_not_wait_for_the_other_side_s_acknowledgement() -> None:
    with (
        closing(listening("127.0.0.1", 0)) as listener,
        closing(socket.create_connection(listener.getsockname())),
    ):
        connection, _ = listener.accept()
        with closing(connection):
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_many_at_once_are_all_answered(service: Hosted, client: Collection) -> None:
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
