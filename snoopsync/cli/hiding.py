"""Takes a password out of the command line, which every user of the machine can read."""

from __future__ import annotations

import os
import sys


def hide_password(database: str) -> None:
    """Start this command again without the password that the address of the database has. It gets
    the password from the environment, which other users cannot read. Does nothing if the command
    line has no password. Raises ``SnoopsyncError`` for a malformed address."""
    if not any(database in argument for argument in sys.orig_argv):
        return
    # Imported late: psycopg is in an extra.
    from snoopsync.storage.postgres.url import split_password

    address, password = split_password(database)
    if password is None:
        return
    arguments = [argument.replace(database, address) for argument in sys.orig_argv[1:]]
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, "PGPASSWORD": password})
