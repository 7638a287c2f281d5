"""``approve``: held deletions, and folders with another directory in their place."""

from __future__ import annotations

import pytest

from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import Hang
from tests.support.pictures import encode, photo
from tests.support.process import DEADLINE_SECONDS, Installation, until

HOLD_ALL = "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 0, percent: 0}}\n"


@pytest.mark.parametrize("is_service_running", [False, True])
@pytest.mark.parametrize("discard", [False, True])
def test_held_deletions_are_approved_or_discarded(
    home: Installation, is_service_running: bool, discard: bool
) -> None:
    home.configure(HOLD_ALL)
    home.ok("resync")
    (home.pictures / "0.jpg").unlink()
    options = ["--discard"] if discard else []
    if is_service_running:
        with home.running() as service:
            until(lambda: home.json("list", "--json", "--state", "held"))
            said = home.ok("approve", *options)
            decision = "discarded" if discard else "approved"
            service.line_with(f"folder pictures: 1 held deletion was {decision}")
            until(lambda: len(home.json("list", "--json")) == 2)
    else:
        assert home.json("resync", "--json", code=4)[-1]["held"] == 1
        assert [row["path"] for row in home.json("list", "--json", "--state", "held")] == ["0.jpg"]
        said = home.ok("approve", *options, "pictures")
        assert home.json("resync", "--json")[-1]["deleted"] == (0 if discard else 1)
    assert said.startswith("1 image ")
    assert home.ok("approve") == "no deletions are held\n"
    # A dropped one is in the collection still, and is nobody's.
    [found] = home.json("search", home.pictures / "1.jpg", "--json")
    assert len(found["results"]) == 1
    copy = home.home / "0.jpg"
    copy.write_bytes(encode(photo(0)))
    [found] = home.json("search", copy, "--json")
    assert [match["path"] for match in found["results"]] == ([None] if discard else [])


def test_deletions_are_approved_during_a_resync(
    home: Installation, server: CollectionServer
) -> None:
    """``approve`` does not wait for a slow collection."""
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    home.configure_service(server.endpoint, PUBLIC_KEY, HOLD_ALL)
    home.ok("resync")
    (home.pictures / "0.jpg").unlink()
    home.run("resync")
    hang = Hang()
    server.fault_for = lambda seen: hang if seen.path.endswith("/images") else None
    with home.service():
        assert hang.reached.wait(DEADLINE_SECONDS)
        server.requests.clear()
        assert home.ok("approve").startswith("1 image ")
        assert not [seen for seen in server.requests if seen.path.endswith("/images")]
        hang.release()
        until(lambda: len(home.json("list", "--json")) == 2)


def test_approve_accepts_a_replaced_folder(home: Installation) -> None:
    home.ok("resync")
    home.pictures.rename(home.home / "old")
    home.pictures.mkdir()
    (home.pictures / "new.jpg").write_bytes(encode(photo(7)))
    with home.service() as service:
        service.line_with("is missing")
        assert home.run("status").code == 4
        said = home.ok("approve", "pictures")
        assert said == "folder pictures: the present directory is accepted\n"
        service.line_with("is back")
        until(lambda: len(home.json("list", "--json")) == 1)


def test_approve_accepts_a_replaced_folder_without_a_service(home: Installation) -> None:
    home.ok("resync")
    home.pictures.rename(home.home / "old")
    home.pictures.mkdir()
    (home.pictures / "new.jpg").write_bytes(encode(photo(7)))
    assert home.run("resync").code == 4
    said = home.ok("approve", "pictures")
    assert said == "folder pictures: the present directory is accepted\n"
    home.ok("resync")
    assert [row["path"] for row in home.json("list", "--json")] == ["new.jpg"]


def test_a_missing_folder_cannot_be_approved(home: Installation) -> None:
    """Otherwise the next empty directory at its path would be accepted."""
    home.ok("resync")
    away = home.pictures.rename(home.home / "away")
    done = home.run("approve", "pictures")
    assert done.code == 4
    assert "folder pictures is missing" in done.err
    home.pictures.mkdir()
    assert home.run("resync").code == 4
    assert len(home.json("list", "--json")) == 3
    home.pictures.rmdir()
    away.rename(home.pictures)
    assert home.json("resync", "--json")[-1]["unchanged"] == 3


def test_approve_takes_only_folders(home: Installation) -> None:
    done = home.run("approve", "elsewhere")
    assert done.code == 2
    assert "elsewhere is not a configured folder" in done.err


def test_a_dry_run_prints_what_is_held_and_changes_nothing(home: Installation) -> None:
    home.configure(HOLD_ALL)
    home.ok("resync")
    for number in (0, 1):
        (home.pictures / f"{number}.jpg").unlink()
    assert home.run("resync").code == 4
    shown = home.ok("approve", "--dry-run", "pictures")
    assert "0.jpg" in shown
    assert "1.jpg" in shown
    assert len(home.json("list", "--json", "--state", "held")) == 2
