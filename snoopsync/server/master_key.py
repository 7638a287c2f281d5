"""The master key: the only secret that a data directory stores.

HMAC needs the same secret on both sides. The service does not store the secret keys: it derives
each from the public key and the master key, which has its own file. So a copy of the database alone
is not enough to sign requests.
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
from snoopsync.storage.hosting import Hosting

#: The systemd credential with the master key.
CREDENTIAL = "snoopsync-master-key"

#: The environment variable with the master key.
VARIABLE = "SNOOPSYNC_MASTER_KEY"

#: The advice if a service has another key than the one that created the keys of its clients.
USE_THAT_KEY = "use that one"

_FILE = "master.key"
_BYTES = 32
_FINGERPRINT = b"snoopsync master key"
_FINGERPRINT_DIGITS = 32


class MasterKey:
    """Derives the secrets. Its ``repr`` does not contain the key. ``source``: the file or the
    variable that the key was read from."""

    def __init__(self, key: bytes, source: str) -> None:
        self._key = key
        self.source = source

    def __repr__(self) -> str:
        return "MasterKey(***)"

    @property
    def fingerprint(self) -> str:
        """A text by which the key is recognised, and which tells nothing about it."""
        return hashlib.sha256(_FINGERPRINT + self._key).hexdigest()[:_FINGERPRINT_DIGITS]

    @property
    def text(self) -> str:
        """The key in hexadecimal digits, for its file only."""
        return self._key.hex()

    def secret_of(self, public_key: str) -> str:
        """Return the secret for this public key, or for any other text: an unknown key must take as
        long to check as a known one."""
        digest = hmac.digest(self._key, public_key.encode(errors="surrogateescape"), hashlib.sha256)
        return base64.b32encode(digest).decode().rstrip("=").lower()


def load_master_key(
    data: Path,
    environ: Mapping[str, str],
    *,
    given: Path | None = None,
    may_create: bool = True,
) -> MasterKey:
    """Return the master key: from the file ``given``, the environment, the systemd credential, else
    from the file in the data directory, which is created if it does not exist and ``may_create``.
    Raises ``SnoopsyncError``, and ``UnsafeDirectory`` if other users can write in the directory."""
    if given is not None:
        return _read_private(given)
    if text := environ.get(VARIABLE):
        return _parsed(text, f"${VARIABLE}")
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory:
        with suppress(FileNotFoundError):
            return _read(Path(directory) / CREDENTIAL)
    path = own_directory(data) / _FILE
    require_own_files([path])
    if not may_create and not path.exists():
        raise SnoopsyncError(
            f"the keys were created with a master key that this machine does not have: copy it to"
            f" {path}, or name its file with --master-key"
        )
    try:
        _create(path, secrets.token_hex(_BYTES))
    except OSError as error:
        raise SnoopsyncError(f"{path}: {error.strerror}") from None
    return _read_private(path)


def require_master_key(hosting: Hosting, key: MasterKey, advice: str) -> None:
    """Record that the keys of these collections are created with this master key. Raises
    ``SnoopsyncError``, with the advice, if they were created with another one."""
    if hosting.record_master_key(key.fingerprint) != key.fingerprint:
        raise SnoopsyncError(
            f"the keys of {hosting.description} were created with another master key than the one"
            f" in {key.source}: {advice}"
        )


def store_master_key(data: Path, key: MasterKey) -> None:
    """Copy the key into the data directory. Raises ``SnoopsyncError`` if the directory has another
    one, and ``UnsafeDirectory`` if other users can write in the directory."""
    path = own_directory(data) / _FILE
    require_own_files([path])
    try:
        _create(path, key.text)
    except OSError as error:
        raise SnoopsyncError(f"{path}: {error.strerror}") from None
    if _read_private(path).fingerprint != key.fingerprint:
        raise SnoopsyncError(f"{path} is another master key than the one of the collections")


def _read_private(path: Path) -> MasterKey:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise SnoopsyncError(f"{path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise SnoopsyncError(
            f"other users can read {path}, and can sign with every key: chmod 600"
            f" {shlex.quote(str(path))}"
        )
    return _read(path)


def _create(path: Path, text: str) -> None:
    """Create the file, completely or not at all, unless it exists."""
    if path.exists():
        return
    aside = path.with_name(f".{_FILE}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process has created it
            os.link(aside, path)
    finally:
        aside.unlink()


def _read(path: Path) -> MasterKey:
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        text = ""
    return _parsed(text, str(path))


def _parsed(text: str, source: str) -> MasterKey:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < _BYTES:
        raise SnoopsyncError(
            f"{source} is not a master key, which has {2 * _BYTES} hexadecimal digits"
        )
    return MasterKey(key, source)
