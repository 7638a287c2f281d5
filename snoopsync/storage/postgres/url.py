"""The address of a database, and its password."""

from __future__ import annotations

from typing import Any

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from snoopsync.core.errors import SnoopsyncError


def describe_database(url: str) -> str:
    """The database for people, without user and password: ``postgresql://HOST:PORT/NAME``. Raises
    ``SnoopsyncError`` for a malformed address."""
    values = _values(url)
    if service := values.get("service"):
        return f"postgresql:///?service={service}"
    port = str(values.get("port", "")).strip(",")
    return f"postgresql://{values.get('host', '')}{f':{port}' if port else ''}/" + str(
        values.get("dbname", "")
    )


def split_password(url: str) -> tuple[str, str | None]:
    """The address without the password, and the password, which is ``None`` if the address has
    none. Raises ``SnoopsyncError`` for a malformed address."""
    values = _values(url)
    password = values.pop("password", None)
    return (url, None) if password is None else (make_conninfo(**values), str(password))


def _values(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url))
    except ProgrammingError:
        # The message of the error may contain the password.
        raise SnoopsyncError(
            "the address of the database is malformed: postgresql://USER@HOST:PORT/NAME"
        ) from None
