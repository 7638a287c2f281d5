"""The fingerprints that the program findimagedupes takes of pictures, where it is installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Its database is Perl's: a line for each file, the fingerprint first.
_PRINT = (
    'tie %d, "DB_File", $ARGV[0]; while (($k, $v) = each %d) { print unpack("H*", $v), " $k\n" }'
)


class Fingerprints:
    """The program starts too slowly to be asked for one picture at a time: it is told which come
    next, and asked for all of them."""

    def __init__(self) -> None:
        self._codes: dict[bytes, NDArray[np.uint8]] = {}

    @staticmethod
    def installed() -> bool:
        """Is the program there?"""
        return shutil.which("findimagedupes") is not None

    def foresee(self, files: Sequence[bytes]) -> None:
        """Take the fingerprints of these, and forget the ones before."""
        with tempfile.TemporaryDirectory() as name:
            folder, database = Path(name) / "files", Path(name) / "fingerprints"
            folder.mkdir()
            for number, data in enumerate(files):
                (folder / str(number)).write_bytes(data)
            # It complains about each that it can't read, and goes on.
            subprocess.run(
                ["findimagedupes", "--no-compare", "--fingerprints", database, folder],
                check=True,
                stderr=subprocess.DEVNULL,
            )
            lines = subprocess.run(
                ["perl", "-MDB_File", "-e", _PRINT, database],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.splitlines()
        self._codes = {}
        for line in lines:
            code, _, path = line.partition(" ")
            self._codes[_key(files[int(Path(path).name)])] = np.frombuffer(
                bytes.fromhex(code), np.uint8
            )

    def digest(self, data: bytes) -> NDArray[np.uint8] | None:
        """The fingerprint (256 bits) of one that was foreseen; ``None`` if it can't be read."""
        return self._codes.get(_key(data))


def _key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
