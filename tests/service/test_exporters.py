"""Metrics and notifications across configurations."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.config.secrets import Secret
from snoopsync.config.settings import Config, MetricsConfig, NotifyConfig
from snoopsync.control.report import ServiceView
from snoopsync.core.addresses import Address
from snoopsync.core.errors import ConfigError
from snoopsync.runtime.counters import Counters
from snoopsync.service.exporters import Exporters


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state=tmp_path / "state.sqlite3")


@pytest.fixture
def exporters(config: Config) -> Iterator[Exporters]:
    with Exporters(config, Counters(), ServiceView) as exporters:
        yield exporters


def listening_on(config: Config, port: int, host: str = "127.0.0.1") -> Config:
    return replace(config, metrics=MetricsConfig(Address(host, port)))


def free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(server.getsockname()[1]) for server in servers]
    for server in servers:
        server.close()
    return ports


def is_served(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            return int(answer.status) == 200
    except urllib.error.URLError:
        return False


def test_nothing_is_served_unless_it_is_configured(config: Config, exporters: Exporters) -> None:
    [port] = free_ports(1)
    exporters.use(config)
    assert not is_served(port)
    exporters.use(listening_on(config, port))
    assert is_served(port)
    exporters.use(config)
    assert not is_served(port)


def test_metrics_move_to_a_new_address(config: Config, exporters: Exporters) -> None:
    first, second = free_ports(2)
    exporters.use(listening_on(config, first))
    exporters.use(listening_on(config, second))
    assert (is_served(first), is_served(second)) == (False, True)


def test_an_address_in_use_is_refused_and_the_old_one_stays(
    config: Config, exporters: Exporters
) -> None:
    [port] = free_ports(1)
    exporters.use(listening_on(config, port))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"metrics\.listen: can't listen on .*{taken}"):
            exporters.use(listening_on(config, taken))
    assert is_served(port)


def test_an_invalid_target_is_refused_before_anything_changes(
    config: Config, exporters: Exporters
) -> None:
    [port] = free_ports(1)
    wrong = replace(listening_on(config, port), notify=NotifyConfig((Secret("no-such-kind://x"),)))
    with pytest.raises(ConfigError, match="notify"):
        exporters.use(wrong)
    assert not is_served(port)


def test_closing_stops_serving(config: Config, exporters: Exporters) -> None:
    [port] = free_ports(1)
    exporters.use(listening_on(config, port))
    exporters.close()
    assert not is_served(port)
