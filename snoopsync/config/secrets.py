"""Secrets: a type that does not show them, and the sources that they are read from."""

from __future__ import annotations

import hmac
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

#: The environment variable that contains the secret key.
SECRET_VARIABLE = "SNOOPSYNC_SECRET_KEY"

#: The systemd credential (``LoadCredential=``) that contains the secret key.
CREDENTIAL = "snoopsync-secret-key"

#: The systemd credential that contains the addresses for notifications, one per line.
NOTIFY_CREDENTIAL = "snoopsync-notify-urls"

_MAX_BYTES = 4096
_MAX_LIST_BYTES = 1 << 16


class SecretError(Exception):
    """A secret can't be used. ``message``: why, without any part of the secret. ``fix``: a command
    that fixes the problem, if there is one."""

    def __init__(self, message: str, fix: str | None = None) -> None:
        self.message = message
        self.fix = fix
        super().__init__(message if fix is None else f"{message}: {fix}")


class SecretNotReadable(SecretError):
    """This process has no permission to read a file with a secret."""


class Secret:
    """A text that appears as ``***`` wherever it is printed, formatted, logged or dumped. Only
    ``reveal`` returns the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Strips white space around the text. Raises ``SecretError`` if it is not one word."""
        self._text = text.strip()
        if not self._text:
            raise SecretError("is empty")
        if len(self._text.split()) > 1 or not self._text.isprintable():
            raise SecretError("must be one word, on one line")

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._text.encode(), other._text.encode()
        )

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret can't be pickled or copied")


def secret_from_environment(environ: Mapping[str, str]) -> Secret | None:
    """The secret in ``$SNOOPSYNC_SECRET_KEY``; ``None`` if the variable is unset or empty."""
    text = environ.get(SECRET_VARIABLE, "")
    return Secret(text) if text.strip() else None


def secret_from_file(path: Path) -> Secret:
    """The secret in a file that only its owner can read. Raises ``SecretError``."""
    content, mode = _read(path)
    require_private(path, mode)
    return _decode(content, path)


def secrets_from_file(path: Path) -> tuple[Secret, ...]:
    """The secrets in a file that only its owner can read: one per line, at least one. Empty lines
    and lines that begin with ``#`` are skipped. Raises ``SecretError``."""
    content, mode = _read(path, _MAX_LIST_BYTES)
    require_private(path, mode)
    return _decode_lines(content, path)


def secret_from_credentials(environ: Mapping[str, str]) -> Secret | None:
    """The secret that systemd passes to the service; ``None`` if there is no credential, or if it
    is empty (the default in snoopsync's units).

    The file's mode is not checked. systemd protects the directory, and gives the service's user
    access by an access control list, which looks like a group permission in the mode.
    """
    path = _credential(environ, CREDENTIAL)
    content, _ = _read(path) if path is not None else (b"", 0)
    return _decode(content, path or "") if content.strip() else None


def secrets_from_credentials(environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """The addresses that systemd passes to the service; empty if it passes none."""
    path = _credential(environ, NOTIFY_CREDENTIAL)
    content, _ = _read(path, _MAX_LIST_BYTES) if path is not None else (b"", 0)
    return _decode_lines(content, path or "") if content.strip() else ()


def _credential(environ: Mapping[str, str], name: str) -> Path | None:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(directory or "/", name)
    return path if directory and os.path.lexists(path) else None


def require_private(path: Path, mode: int) -> None:
    """Raise ``SecretError`` if the mode gives the group or others any permission."""
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretError(f"others can read {path}", f"chmod 600 {shlex.quote(str(path))}")


def _read(path: Path, most_bytes: int = _MAX_BYTES) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(most_bytes + 1), os.fstat(file.fileno()).st_mode
    except OSError as error:
        kind = SecretNotReadable if isinstance(error, PermissionError) else SecretError
        raise kind(f"{path} can't be read: {error.strerror}") from None


def _decode_lines(content: bytes, where: Path | str) -> tuple[Secret, ...]:
    if len(content) > _MAX_LIST_BYTES:
        raise SecretError(f"{where} is too long to be a list of addresses")
    found = []
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith(b"#"):
            found.append(_decode(line, f"{where}, line {number},"))
    if not found:
        raise SecretError(f"{where} contains no address")
    return tuple(found)


def _decode(content: bytes, where: Path | str) -> Secret:
    if len(content) > _MAX_BYTES:
        raise SecretError(f"{where} is too long to be a secret key")
    try:
        return Secret(content.decode())
    except UnicodeDecodeError:
        raise SecretError(f"{where} is not UTF-8 text") from None
    except SecretError as error:
        raise SecretError(f"{where} {error}") from None
