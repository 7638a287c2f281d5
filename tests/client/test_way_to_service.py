"""The connection to the service: TLS, certificates, proxies and the path of the endpoint. Each
error says what to do."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import BadAnswer, CollectionError, NotConnected
from snoopsync.embedded import EmbeddedCollection
from tests.support.authority import Authority
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.hosted import hosted
from tests.support.process import Installation
from tests.support.raw_service import raw_service

SESSION = json.dumps(
    {"status": 200, "message": "OK", "collection_id": "c", "collection_name": "n", "user": "u"}
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(SESSION) + SESSION

Behaviour = Callable[[socket.socket], None]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.endswith(("CA_BUNDLE", "CERT_FILE")):
            monkeypatch.delenv(name)


def heard(connection: socket.socket) -> bytes:
    """The head of a request."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


def over_tls(context: ssl.SSLContext) -> Behaviour:
    """Answer every request with a session."""

    def behave(connection: socket.socket) -> None:
        wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with wrapped as encrypted:
            try:
                encrypted.do_handshake()
            except ssl.SSLError:
                # Read the rest, so that closing does not reset the connection and lose the answer.
                socket.socket.shutdown(encrypted, socket.SHUT_WR)
                while socket.socket.recv(encrypted, 65536):
                    pass
                return
            heard(encrypted)
            encrypted.sendall(ANSWER)

    return behave


def failure(behave: Behaviour, ca_file: Path | None, host: str = "127.0.0.1") -> CollectionError:
    """Return the error of a client of this service."""
    with raw_service(behave) as endpoint:
        https = endpoint.replace("http:", "https:").replace("127.0.0.1", host)
        with (
            Collection("k", "s", f"{https}/api/v1", timeout=5.0, ca_file=ca_file) as client,
            pytest.raises(CollectionError) as caught,
        ):
            _ = client.id
    assert str(caught.value).startswith(https.removeprefix("https://") + ": ")
    return caught.value


# TLS.


def old_only(authority: Authority) -> ssl.SSLContext:
    context = authority.signed("old").server_context()
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def weak_ciphers(authority: Authority) -> ssl.SSLContext:
    context = authority.signed("weak").server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    return context


def clients_only(authority: Authority) -> ssl.SSLContext:
    context = authority.signed("strict").server_context()
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.mark.parametrize(
    ("context", "said"),
    [
        (lambda a: a.signed("gone", days=-1).server_context(), "its certificate has expired: "),
        (lambda a: a.self_signed("own").server_context(), "its certificate is self-signed: set c"),
        (
            lambda a: a.signed("other", extension="subjectAltName=DNS:x.test").server_context(),
            "certificate is not valid for '127.0.0.1'",
        ),
        (old_only, "the service does not support a secure version of TLS"),
        (weak_ciphers, "have no secure cipher in common"),
        (clients_only, "requires a client certificate"),
    ],
    ids=["expired", "self-signed", "host name", "version", "cipher", "client's certificate"],
)
def test_an_error_of_tls_says_what_to_do(
    authority: Authority, context: Callable[[Authority], ssl.SSLContext], said: str
) -> None:
    assert said in str(failure(over_tls(context(authority)), authority.path))


def test_an_unknown_authority_names_the_key_to_set(authority: Authority) -> None:
    error = failure(over_tls(authority.signed("fine").server_context()), None)
    assert "from an authority that is not trusted here: set collection.ca_file" in str(error)
    assert isinstance(error, NotConnected)


def says(words: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(words)
        connection.recv(65536)

    return behave


def hangs_up(connection: socket.socket) -> None:
    connection.recv(65536)


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        (says(b"SSH-2.0-OpenSSH_9.2\r\n"), "does not use TLS on this port"),
        (says(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "does not use TLS on this port"),
        (hangs_up, "closed the connection during the TLS handshake"),
    ],
    ids=["ssh", "http", "hangs up"],
)
def test_a_port_without_tls_is_reported(authority: Authority, behave: Behaviour, said: str) -> None:
    assert said in str(failure(behave, authority.path))


# Certificates.


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_names_certificates(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority.path))
    with raw_service(over_tls(authority.signed("fine").server_context())) as endpoint:
        https = endpoint.replace("http:", "https:")
        with Collection("k", "s", f"{https}/api/v1") as client:
            assert client.id == "c"


def test_a_ca_file_comes_before_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
    with raw_service(over_tls(authority.signed("fine").server_context())) as endpoint:
        https = endpoint.replace("http:", "https:")
        with Collection("k", "s", f"{https}/api/v1", ca_file=authority.path) as client:
            assert client.id == "c"


def test_the_systems_store_is_openssls(authority: Authority) -> None:
    """In a separate process, because OpenSSL reads the variable when it starts."""
    with raw_service(over_tls(authority.signed("fine").server_context())) as endpoint:
        https = endpoint.replace("http:", "https:")
        code = f"Collection('k', 's', '{https}/api/v1', ca_file='system').id"
        done = subprocess.run(
            [sys.executable, "-c", f"from snoopsync import Collection; print({code})"],
            env=os.environ | {"SSL_CERT_FILE": str(authority.path)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "c\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        ("nothing", "the file contains no PEM certificates"),
    ],
)
def test_unusable_certificates_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    error = failure(hangs_up, None)
    assert f"$REQUESTS_CA_BUNDLE: {bundle}: {said}" in str(error)


# Proxies.


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
        closing(EmbeddedCollection(tmp_path / "c.sqlite3")) as inner,
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


# The endpoint's path.


@pytest.mark.parametrize("call", ["id", "images"])
def test_an_endpoint_without_its_path_suggests_the_usual_path(tmp_path: Path, call: str) -> None:
    with hosted(tmp_path) as service:
        bare = service.endpoint.removesuffix("/api/v1")
        with Collection(*service.keys("a"), bare) as client, pytest.raises(CollectionError) as bad:
            client.id if call == "id" else client.get_images()
    assert f"collection.endpoint lacks its path, try {bare}/api/v1" in str(bad.value)


# The configuration.


def test_check_tries_the_certificates_of_the_configuration(
    tmp_path: Path, authority: Authority
) -> None:
    home = Installation(tmp_path)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    with raw_service(over_tls(authority.signed("fine").server_context())) as endpoint:
        https = endpoint.replace("http:", "https:")
        for ca_file, said in [("", "set collection.ca_file"), (str(authority.path), "accepted")]:
            keys = f"endpoint: '{https}/api/v1', public_key: k, owner: tests"
            home.configure(f"collection: {{{keys}, ca_file: {ca_file}}}\n")
            assert said in home.run("check").out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gone.pem", "collection.ca_file: can't be read: No such file or directory"),
        ("config.yaml", "collection.ca_file: contains no PEM certificates"),
    ],
)
def test_an_unusable_ca_file_is_a_configuration_error(
    tmp_path: Path, given: str, said: str
) -> None:
    home = Installation(tmp_path)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    home.configure(f"collection: {{endpoint: 'https://x.test', public_key: k, ca_file: {given}}}\n")
    done = home.run("status")
    assert done.code == 78
    assert said in done.err
