"""Hosts and ports, as people write them."""

from __future__ import annotations

import pytest

from snoopsync.core.addresses import Address, is_insecure, is_loopback


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("nas.local:65535", Address("nas.local", 65535)),
        ("[::1]:8470", Address("::1", 8470)),
    ],
)
def test_an_address_reads_as_it_is_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "8470", ":8470", "localhost", "localhost:", "localhost:x", "localhost:65536"),
        *("::1:8470", "[::1]", "[nas]:80", "a b:80", "user@host:80", "a/b:80", "host:\u0663"),
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Address.parse(text)


def test_port_0_is_refused_unless_any_free_port_will_do() -> None:
    with pytest.raises(ValueError):
        Address.parse("localhost:0")
    assert Address.parse("localhost:0", lowest_port=0).port == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "a.localhost"])
def test_loopback_addresses_stay_on_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.org", "localhost.org"])
def test_other_addresses_do_not_stay_on_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://visualsnoop.com/api/v1", True),
        ("http://192.168.1.5:8000/api", True),
        ("https://visualsnoop.com/api/v1", False),
        ("http://localhost:8000/", False),
        ("http://127.0.0.1/", False),
        ("http://127.9.9.9/", False),
        ("http://[::1]:80/", False),
        ("http://localhost.example.com/", True),
    ],
)
def test_http_to_another_machine_is_insecure(endpoint: str, expected: bool) -> None:
    assert is_insecure(endpoint) is expected
