"""Uploads a second of a first resync, compared with a bare loop over ``requests``."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import requests

from snoopsync.client.signing import Signer
from tests.benchmarks.installation import Installation
from tests.benchmarks.measuring import compare, interleaved
from tests.benchmarks.served import Served, serving
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY

_FILES = 3_000
_FILE_BYTES = 80_000
_WORKERS = 4


def measure(root: Path, *, rounds: int) -> None:
    """Print how long a bare loop and ``snoopsync resync`` take from the first upload's arrival at
    the server to the last one's, and what the whole command takes (start, scan, settling, and the
    search for duplicates of each image)."""
    folder = root / "uploads" / "folder"
    if not folder.exists():
        folder.mkdir(parents=True)
        dice = random.Random(1)
        for number in range(_FILES):
            (folder / f"{number:05d}.jpg").write_bytes(dice.randbytes(_FILE_BYTES))
    paths = sorted(folder.iterdir())
    whole: list[float] = []
    with serving() as served:

        def bare() -> float:
            _send_all(paths, served.endpoint)
            return _span(served)

        def snoopsync() -> float:
            owner = f"round-{time.time_ns()}"
            installation = Installation(root / "uploads" / owner, folder, served.endpoint, owner)
            installation.write()
            summary = installation.resync()
            assert summary["added"] == _FILES, summary
            whole.append(summary["seconds"])
            return _span(served)

        taken = interleaved({"bare requests loop": bare, "resync": snoopsync}, rounds)
    taken["the whole resync"] = whole[1:]
    compare(f"{_FILES} uploads of {_FILE_BYTES} bytes by {_WORKERS} workers", taken)


def _span(served: Served) -> float:
    at = [upload.at for upload in served.uploads()]
    assert len(at) == _FILES, len(at)
    return max(at) - min(at)


def _send_all(paths: list[Path], endpoint: str) -> None:
    prefix = f"bare-{time.time_ns()}"
    waiting = iter(enumerate(paths))
    lock = threading.Lock()

    def jobs() -> Iterator[tuple[int, Path]]:
        while True:
            with lock:
                job = next(waiting, None)
            if job is None:
                return
            yield job

    def work() -> None:
        signer = Signer(PUBLIC_KEY, SECRET_KEY)
        base = urlsplit(endpoint).path
        with requests.Session() as session:
            for number, path in jobs():
                target = f"/image/{prefix}.{number}"
                headers = signer.headers("POST", base + target, time.time())
                with path.open("rb") as file:
                    answer = session.post(endpoint + target, data=file, headers=headers)
                answer.raise_for_status()
                answer.json()

    threads = [threading.Thread(target=work) for _ in range(_WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
