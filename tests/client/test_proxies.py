"""Proxies: which one is used, and what its errors say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import BadAnswer, CollectionError, NotConnected
from snoopsync.embedded import open_embedded
from tests.client.helpers import ANSWER, heard
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.raw_service import raw_service


@contextmanager
def dead_port() -> Iterator[int]:
    """A port that is reserved and has no listener."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_reported_without_its_password(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with dead_port() as port:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://ada:secret@127.0.0.1:{port}")
        with (
            Collection("k", "s", f"{scheme}://photos.test/api/v1") as client,
            pytest.raises(NotConnected) as caught,
        ):
            _ = client.id
    named = f"the proxy http://127.0.0.1:{port} (${scheme.upper()}_PROXY)"
    assert str(caught.value) == f"{named}: Connection refused"


def test_a_proxy_that_refuses_to_connect_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    with raw_service(refuse) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        with (
            Collection("k", "s", "https://photos.test/api/v1") as client,
            pytest.raises(NotConnected) as caught,
        ):
            _ = client.id
    said = f"the proxy {proxy} ($https_proxy): it refuses to connect: 407 Proxy Authentication"
    assert str(caught.value).startswith(said)


def test_a_proxy_that_requires_a_login_fails_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: socket.socket) -> None:
        heard(connection)
        connection.sendall(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        )

    with raw_service(refuse) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with (
            Collection("k", "s", "http://photos.test/api/v1") as client,
            pytest.raises(BadAnswer, match="put a user and a password into the URL of the proxy"),
        ):
            client.get_image("a")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:9", "http://"])
def test_an_invalid_url_of_a_proxy_is_reported(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with (
        Collection("k", "s", "https://photos.test/api/v1") as client,
        pytest.raises(NotConnected, match=r"\$HTTPS_PROXY.*a proxy's URL must be like"),
    ):
        _ = client.id


def test_a_socks_proxy_without_its_library_names_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import requests.adapters

    def missing(*_: object, **__: object) -> None:  # what requests uses without PySocks
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", missing)
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    with (
        Collection("k", "s", "https://photos.test/api/v1") as client,
        pytest.raises(NotConnected) as caught,
    ):
        _ = client.id
    assert str(caught.value) == (
        "the proxy socks5h://127.0.0.1:9 ($ALL_PROXY): a SOCKS proxy needs PySocks: pip install"
        " 'snoopsync[socks]'"
    )


def socks5(connection: socket.socket) -> None:
    """A SOCKS proxy (RFC 1928) that answers like a collection."""
    connection.recv(2 + 255)
    connection.sendall(b"\x05\x00")
    connection.recv(4 + 256 + 2)
    connection.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
    heard(connection)
    connection.sendall(ANSWER)


def test_a_socks_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("socks", reason="PySocks is not installed")
    with raw_service(socks5) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.replace("http:", "socks5h:"))
        with Collection("k", "s", "http://photos.test/api/v1") as client:
            assert client.id == "c"


def test_a_host_in_no_proxy_is_reached_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with (
        closing(open_embedded(tmp_path / "c.sqlite3")) as inner,
        CollectionServer(inner) as server,
        Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as client,
    ):
        assert client.id == inner.id


def test_calls_through_a_proxy_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, done = threading.Event(), threading.Event()

    def silent(connection: socket.socket) -> None:
        heard(connection)
        asked.set()
        done.wait(10.0)

    failed: list[Exception] = []
    with raw_service(silent) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        client = Collection("k", "s", "http://photos.test/api/v1")

        def ask() -> None:
            try:
                _ = client.id
            except CollectionError as error:
                failed.append(error)

        asker = threading.Thread(target=ask)
        asker.start()
        assert asked.wait(10.0)
        client.close()
        asker.join(10.0)
        done.set()
    assert len(failed) == 1
