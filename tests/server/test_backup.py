"""Copies of a data directory."""

from __future__ import annotations

import io
import stat
from pathlib import Path

import pytest

from snoopsync.core.exits import Exit
from tests.server.helpers import PICTURE, added, client
from tests.support.hosted import hosted_process
from tests.support.process import Installation


@pytest.mark.integration
def test_a_backup_of_a_running_service_can_be_served(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    keys = [added(home, data, name) for name in ("one", "two", "empty")]
    copy = tmp_path / "copy"
    with hosted_process(home, data) as (_, endpoint):
        for key in keys[:2]:
            with client(key, endpoint) as collection:
                collection.add_image(io.BytesIO(PICTURE), f"of {key['collection_name']}")
        assert "2 collections" in home.ok("serve", "backup", copy, "--data", data)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    files = [path for path in copy.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    with hosted_process(home, copy) as (_, endpoint):
        for key, held in zip(keys, (["of one"], ["of two"], []), strict=True):
            with client(key, endpoint) as collection:
                assert collection.id == key["collection_id"]
                assert [image["id"] for image in collection.images()] == held


def test_an_impossible_backup_is_refused_and_leaves_no_files(
    home: Installation, data: Path, tmp_path: Path
) -> None:
    nothing = home.run("serve", "backup", tmp_path / "copy", "--data", data)
    assert (nothing.code, "not the data directory" in nothing.err) == (Exit.BUG, True)
    added(home, data)
    over = home.run("serve", "backup", data, "--data", data)
    assert (over.code, "already exists" in over.err) == (Exit.BUG, True)
    (data / "collections" / "x").mkdir(parents=True)
    (data / "collections" / "x" / "collection.sqlite3").write_bytes(b"no database" * 100)
    half = home.run("serve", "backup", tmp_path / "copy", "--data", data)
    assert (half.code, "the backup failed" in half.err) == (Exit.BUG, True)
    assert not [path for path in tmp_path.iterdir() if "copy" in path.name]
