"""The master key: the one secret of a data directory.

HMAC needs the same secret on both sides, so a server has to be able to make it. It does not have
to keep it where the keys are: the secret of each key pair is derived from its public half and from
the master key, which is in a file of its own. A copy of the database alone signs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import shlex
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from snoopsync.core.errors import SnoopsyncError
from snoopsync.runtime.owned_directory import own_directory, require_own_files

#: The name of the systemd credential that holds it.
CREDENTIAL = "snoopsync-master-key"

_FILE = "master.key"
_BYTES = 32


class MasterKey:
    """Derives the secrets. Never shows itself."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "MasterKey(***)"

    def secret_of(self, public_key: str) -> str:
        """The secret half of the pair with this public one, for a real one and for any other text:
        that there is no such pair takes as long to find out."""
        digest = hmac.digest(self._key, public_key.encode(errors="surrogateescape"), hashlib.sha256)
        return base64.b32encode(digest).decode().rstrip("=").lower()


def load_master_key(data: Path, environ: Mapping[str, str]) -> MasterKey:
    """The data directory's master key: the systemd credential, or its file, which is made if there
    is none. Raises ``SnoopsyncError``: ``UnsafeDirectory`` if the directory is not this user's
    alone."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory:
        with suppress(FileNotFoundError):
            return _parsed(Path(directory) / CREDENTIAL)
    path = own_directory(data) / _FILE
    require_own_files([path])
    try:
        _make(path)
        mode = path.stat().st_mode
    except OSError as error:
        raise SnoopsyncError(f"{path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SnoopsyncError(
            f"{path} can be read by others, and whoever reads it can sign for every key: chmod 600"
            f" {shlex.quote(str(path))}"
        )
    return _parsed(path)


def _make(path: Path) -> None:
    """Make the file, whole or not at all, unless it is there."""
    if path.exists():
        return
    aside = path.with_name(f".{_FILE}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first
            os.link(aside, path)
    finally:
        aside.unlink()


def _parsed(path: Path) -> MasterKey:
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        key = b""
    if len(key) < _BYTES:
        raise SnoopsyncError(f"{path} is no master key: {2 * _BYTES} hexadecimal digits")
    return MasterKey(key)
