"""TLS: which certificates are trusted. Each error says what to do."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import CollectionError, NotConnected
from tests.client.helpers import ANSWER, heard
from tests.support.authority import Authority
from tests.support.collection_server import SECRET_KEY
from tests.support.process import Installation
from tests.support.raw_service import raw_service

Behaviour = Callable[[socket.socket], None]


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
def test_a_tls_error_has_the_fix(
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
