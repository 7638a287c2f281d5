"""Fingerprints of pictures by the program findimagedupes, if it is installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Prints the program's database, in Perl: a line for each file, the fingerprint first.
_PRINT = (
    'tie %d, "DB_File", $ARGV[0]; while (($k, $v) = each %d) { print unpack("H*", $v), " $k\n" }'
)


class Fingerprints:
    """Fingerprints in batches: the program starts too slowly to run it for each picture."""

    def __init__(self) -> None:
        self._codes: dict[bytes, NDArray[np.uint8]] = {}

    @staticmethod
    def installed() -> bool:
        """Whether the program is installed."""
        return shutil.which("findimagedupes") is not None

    def prepare(self, files: Sequence[bytes]) -> None:
        """Make the fingerprints of these files, and forget all others."""
        with tempfile.TemporaryDirectory() as name:
            folder, database = Path(name) / "files", Path(name) / "fingerprints"
            folder.mkdir()
            for number, data in enumerate(files):
                (folder / str(number)).write_bytes(data)
            # The program reports each file that it cannot read, and continues.
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
        """The fingerprint (256 bits) of a prepared file; ``None`` if it cannot be read."""
        return self._codes.get(_key(data))


def _key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
