"""The master key, from which the secret keys are derived."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import SnoopsyncError
from snoopsync.server.master_key import load_master_key, store_master_key
from snoopsync.storage.sqlite.registry import SqliteHosting


def test_the_stored_data_signs_nothing_without_the_master_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with closing(SqliteHosting(data, 0.0)) as hosting:
        key = hosting.add_key("shop")
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


def test_a_copy_of_the_master_key_never_replaces_another_one(tmp_path: Path) -> None:
    key = load_master_key(tmp_path / "one", {})
    for _ in range(2):
        store_master_key(tmp_path / "two", key)
    assert load_master_key(tmp_path / "two", {}).fingerprint == key.fingerprint
    assert stat.S_IMODE((tmp_path / "two" / "master.key").stat().st_mode) == 0o600
    other = load_master_key(tmp_path / "three", {})
    with pytest.raises(SnoopsyncError, match="another master key"):
        store_master_key(tmp_path / "two", other)
    assert load_master_key(tmp_path / "two", {}).fingerprint == key.fingerprint
