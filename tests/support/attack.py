"""Attacks a real ``serve`` with hostile pictures over HTTP, and checks its health afterwards.

By hand: ``python -m tests.support.attack --seed 7 --minutes 5``.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from snoopsync.client.collection import Collection
from snoopsync.client.signing import Signer
from tests.support.hosted import forked, hosted_process, lives
from tests.support.hostile_pictures import bombs, damaged, heavy_bombs, sound
from tests.support.pictures import encode, photo
from tests.support.process import Installation, Service, until

CLIENTS = 4

#: A decoder is killed after 30 s, and one picture of each client may be decoded first.
ANSWER_SECONDS = 300.0

#: A connection that was idle for longer than this is not reused: the service closes it soon. It can
#: be idle because making a bomb takes time.
KEPT_SECONDS = 10.0

#: The time limit for a sound picture on an idle service: some twenty times what it takes.
QUICK_SECONDS = 5.0

#: How much the memory of the service may grow. It remembers the signatures of a quarter of an hour
#: (a quarter of a kilobyte each), SQLite caches pages of each collection (2 MiB), and the allocator
#: does not return all memory.
SERVICE_GROWTH_BYTES = 48 << 20

#: How much the memory of a decoder may grow, because its largest picture has left holes.
DECODER_GROWTH_BYTES = 96 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """Return the resident memory in bytes."""

    service: int
    decoders: tuple[int, ...]

    def __str__(self) -> str:
        each = ", ".join(f"{size >> 20}" for size in self.decoders)
        return f"service {self.service >> 20} MiB, decoders {each} MiB"


@dataclass(slots=True)
class Report:
    """The result of an attack. ``wrong`` has the answers that must not occur."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    before: Memory = Memory(0, ())
    after: Memory = Memory(0, ())

    def __str__(self) -> str:
        answers = ", ".join(
            f"{count} x {status}" for status, count in sorted(self.statuses.items())
        )
        return (
            f"{sum(self.statuses.values())} answers ({answers}), the slowest after"
            f" {self.slowest:.1f} s; before: {self.before}; after: {self.after}"
        )


class Attacker:
    """Sends pictures on one connection, with a valid key."""

    def __init__(self, name: str, port: int, keys: tuple[str, str], report: Report) -> None:
        self._name = name
        self._signer = Signer(*keys)
        self._report = report
        self._sent = 0
        self._last = 0.0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def send(self, picture: bytes, what: str, dice: random.Random) -> None:
        """Add the picture, update an image with it, or search for it. An answer must arrive."""
        self._sent += 1
        path = dice.choice(
            ("/api/v1/search", "/api/v1/image", f"/api/v1/image/{self._name}.{self._sent}")
        )
        method = "PUT" if path.endswith("5") else "POST"
        headers = self._signer.headers(method, path, time.time())
        began = time.monotonic()
        if began - self._last > KEPT_SECONDS:
            self._connection.close()  # the next request opens it again
        try:
            self._connection.request(method, path, picture, headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._report.wrong.append(f"{what}: {error!r}")
            return
        self._last = time.monotonic()
        self._report.slowest = max(self._report.slowest, self._last - began)
        self._report.statuses[response.status] += 1
        if not is_answer(response.status, body):
            self._report.wrong.append(f"{what}: {response.status} {body[:200]!r}")


def is_log_line(line: str) -> bool:
    """Whether the answer is in the protocol, and no server error."""
    return re.match(r"[-\d]{10} [:\d]{8} info ", line) is not None


def is_answer(status: int, body: bytes) -> bool:
    """Whether the service accepted or refused the picture."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    return answer["status"] == status and bool(answer["message"]) and status // 100 in (2, 4)


@dataclass(frozen=True, slots=True)
class Target:
    """The service under attack."""

    service: Service
    port: int
    data: Path
    keys: tuple[str, str]
    endpoint: str
    decoders: int

    def memory(self) -> Memory:
        """Return the memory of the service, and of the decoders that it has started."""
        process = psutil.Process(self.service.pid)
        until(lambda: 1 <= self._count() <= self.decoders)
        _, decoders = forked(process)
        sizes = sorted(each.memory_info().rss for each in decoders)
        return Memory(process.memory_info().rss, tuple(sizes))

    def _count(self) -> int:
        _, decoders = forked(psutil.Process(self.service.pid))
        return sum(lives(each) for each in decoders)

    def assert_sound(self) -> None:
        """Check that the service still works, promptly, and has left no files."""
        began = time.monotonic()
        picture = encode(photo(4711))
        with Collection(*self.keys, self.endpoint, timeout=60.0) as client:
            image_id = f"sound.{time.time_ns()}"
            client.add_image(io.BytesIO(picture), image_id)
            found = client.search_images(io.BytesIO(picture))["results"]
            assert image_id in {match["id"] for match in found}
        assert time.monotonic() - began < QUICK_SECONDS
        assert list((self.data / "incoming").iterdir()) == []
        below = psutil.Process(self.service.pid).children(recursive=True)
        assert not [each for each in below if each.status() == psutil.STATUS_ZOMBIE]
        # A library that writes to standard error would fill the log.
        foreign = [line for line in self.service.lines if not is_log_line(line)]
        assert not foreign, foreign[:5]


def attack(home: Installation, seed: int, seconds: float, *, heavy: bool = False) -> Report:
    """Send all bombs once (also the ``heavy`` ones), then damaged pictures for ``seconds``.
    Raises ``AssertionError`` for any harm to the service."""
    data, workers = home.home / "data", 2
    (key,) = home.json("keys", "add", "target", "--data", data, "--json")
    keys = key["public_key"], key["secret_key"]
    report = Report()
    with hosted_process(home, data, "--workers", str(workers)) as (service, endpoint):
        port = urlsplit(endpoint).port
        assert port is not None
        target = Target(service, port, data, keys, endpoint, workers)
        dice = random.Random(seed)
        _send_all(target, report, iter([("sound", picture) for picture in 3 * sound()]), dice)
        report.before = target.memory()
        _send_all(target, report, bombs(), dice)
        if heavy:
            _send_all(target, report, heavy_bombs(), dice)
        _send_all(target, report, _damaged(dice, seconds), dice)
        target.assert_sound()
        report.after = target.memory()
        assert service.end() == 0
    assert report.wrong == [], (seed, report.wrong[:10])
    assert report.after.service < report.before.service + SERVICE_GROWTH_BYTES, (seed, str(report))
    most = max(report.before.decoders) + DECODER_GROWTH_BYTES
    assert max(report.after.decoders) < most, (seed, str(report))
    return report


def _damaged(dice: random.Random, seconds: float) -> Iterator[tuple[str, bytes]]:
    until_then = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until_then:
        number += 1
        yield f"damaged {number}", damaged(dice)


def _send_all(
    target: Target, report: Report, pictures: Iterator[tuple[str, bytes]], dice: random.Random
) -> None:
    """Send the pictures from several clients at once, without pauses."""
    lock, failed = threading.Lock(), list[BaseException]()

    def work(name: str, mine: random.Random) -> None:
        with closing(Attacker(name, target.port, target.keys, report)) as attacker:
            try:
                while True:
                    with lock:
                        what, picture = next(pictures)
                    attacker.send(picture, what, mine)
            except StopIteration:
                return
            except BaseException as error:
                failed.append(error)

    names = [f"{dice.randrange(1 << 30)}" for _ in range(CLIENTS)]
    threads = [
        threading.Thread(target=work, args=(name, random.Random(dice.random()))) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def main() -> None:
    """Run the attack from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = attack(Installation(Path(folder)), given.seed, 60.0 * given.minutes, heavy=True)
    sys.stdout.write(f"seed {given.seed}: {report}\n")


if __name__ == "__main__":
    main()
