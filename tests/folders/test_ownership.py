"""The owner of the images outlives the name of the host."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing

import pytest

from snoopsync.config.settings import default_owner
from tests.support.process import QUICK_SYNC, Installation


def call_host(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)


def owned_by(home: Installation, owner: str, folders: str | None = None) -> None:
    home.configure(f"collection: {{owner: {owner}}}\n{QUICK_SYNC}", folders)


def owners(home: Installation) -> set[str]:
    return {row["image_id"].partition(".")[0] for row in home.json("list", "--json")}


def test_a_new_name_of_the_host_changes_nothing(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_host(monkeypatch, "old")
    assert "called" not in home.run("resync").err
    call_host(monkeypatch, "new")
    done = home.run("resync")
    assert "3 images scanned, nothing to do" in done.out
    assert "this host is now called new; the images keep the owner old" in done.err
    assert owners(home) == {"old"}
    assert "called" not in home.run("resync").err, "it is reported once"
    assert "is still old, but the host is now called new" in home.run("check").out


def test_the_owner_of_a_state_file_that_does_not_remember_it_is_that_of_its_images(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_host(monkeypatch, "old")
    home.ok("resync")
    with closing(sqlite3.connect(home.state)) as database, database:
        database.execute("DELETE FROM fact WHERE name LIKE 'owner%'")
    call_host(monkeypatch, "new")
    assert "nothing to do" in home.ok("resync")
    assert owners(home) == {"old"}


def test_the_owner_of_a_lost_state_file_is_that_of_the_embedded_collection(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_host(monkeypatch, "old")
    home.ok("resync")
    home.state.unlink()
    call_host(monkeypatch, "new")
    assert home.json("resync", "--json")[-1]["adopted"] == 3
    assert owners(home) == {"old"}


def test_a_configured_owner_wins_and_a_change_is_logged_with_its_consequences(
    home: Installation,
) -> None:
    home.ok("resync")
    owned_by(home, "studio")
    assert f"changes from {default_owner()} to studio" in home.run("check").out
    done = home.run("resync")
    assert "3 added" in done.out
    assert f"the owner changed from {default_owner()} to studio: 3 images" in done.err
    assert owners(home) == {"studio"}
    assert "owner" not in home.run("resync").err


def test_an_owner_that_was_configured_stays_without_the_configuration(home: Installation) -> None:
    owned_by(home, "studio")
    home.ok("resync")
    home.configure()
    assert "nothing to do" in home.ok("resync")
    assert owners(home) == {"studio"}
