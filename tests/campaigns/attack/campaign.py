"""Each attack beside honest clients, and what these say of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import psutil

from tests.campaigns.attack import attackers
from tests.campaigns.attack.honest import CALLS, Honest, Times, all_work
from tests.support.authority import Authority
from tests.support.hosted import hosted_process
from tests.support.process import Installation, Service, until

#: How much longer the slowest hundredth of the calls may take than without an attack.
MOST_TIMES = 5.0

#: A p99 below this is never too long: a machine that does other things as well has such moments.
FLOOR_SECONDS = 0.25

#: How an attack's time is divided: before, during, after it.
_SHARES = {"before": 0.2, "during": 0.6, "after": 0.2}

#: How many more files may be open after an attack: collections connected to their databases.
_MORE_FILES = 40

#: Of the service with TLS, to be attacked with more connections than it may have files.
_FEW_FILES = "--nofile=300:300"

_HONEST = ("honest 1", "honest 2")


@dataclass(slots=True)
class Report:
    """What came of it. ``wrong``: everything that should not be."""

    phases: dict[tuple[str, str], Times] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """p50 and p99 of each call in milliseconds, for each attack and phase."""
        lines = [f"{'attack':20} {'phase':7}" + "".join(f"{call:>16}" for call in CALLS)]
        lines.append(f"{'':20} {'':7}" + f"{'p50/p99 ms':>16}" * len(CALLS))
        for (attack, phase), times in self.phases.items():
            cells = (
                f"{1000 * times.percentile(call, 50):.0f}/{1000 * times.percentile(call, 99):.0f}"
                for call in CALLS
            )
            row = f"{attack:20} {phase:7}" + "".join(f"{cell:>16}" for cell in cells)
            lines.append(f"{row}  {len(times.errors)} errors")
        return "\n".join(lines)

    def judge(self, floor_seconds: float) -> None:
        """Find what is too slow, now that it is known how long calls take without an attack."""
        quiet = Times()
        for (_, phase), times in self.phases.items():
            if phase == "before":
                quiet.add(times)
        for (attack, phase), times in self.phases.items():
            self.wrong += [f"{attack}, {phase}: {error}" for error in times.errors[:3]]
            for call in CALLS:
                most = max(floor_seconds, MOST_TIMES * quiet.percentile(call, 99))
                took = times.percentile(call, 99)
                if took > most:
                    self.wrong.append(
                        f"{attack}, {phase}: p99 of {call} is {took:.2f} s, more than {most:.2f} s"
                    )


def run(
    seed: int, seconds: float, floor_seconds: float = FLOOR_SECONDS, only: str | None = None
) -> Report:
    """All attacks in ``seconds``, one after the other; or ``only`` the one of this name."""
    report = Report()
    plain, tls_only = (
        [attack for attack in attacks if only in (None, attack.__name__)]
        for attacks in (attackers.PLAIN, attackers.TLS)
    )
    each = seconds / len(plain + tls_only)
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        own = authority.self_signed("own")
        tls = ("--certificate", own.path, "--key", own.key)
        (Path(folder) / "plain").mkdir()
        with _target(Path(folder) / "plain") as target:
            for attack in plain:
                _attack(target, attack, seed, each, report)
        (Path(folder) / "tls").mkdir()
        with (
            mock.patch.dict(os.environ, REQUESTS_CA_BUNDLE=str(own.path)),
            _target(Path(folder) / "tls", *tls, under=("prlimit", _FEW_FILES)) as target,
        ):
            for attack in tls_only:
                _attack(target, attack, seed, each, report)
    report.judge(floor_seconds)
    return report


@dataclass(frozen=True, slots=True)
class _Target:
    service: Service
    port: int
    data: Path
    attacker: tuple[str, str]
    honest: list[Honest]

    def open_files(self) -> int:
        return int(psutil.Process(self.service.pid).num_fds())


@contextmanager
def _target(folder: Path, *options: str | Path, under: tuple[str, ...] = ()) -> Iterator[_Target]:
    home, data = Installation(folder), folder / "data"
    attacker, *keys = (_keys(home, data, name) for name in ("attacker", *_HONEST))
    with hosted_process(home, data, "--workers", "3", *options, under=under) as (service, endpoint):
        port = urlsplit(endpoint).port
        assert port is not None
        honest = [Honest(pair, endpoint, 100 * number) for number, pair in enumerate(keys)]
        for client in honest:
            client.begin()
        yield _Target(service, port, data, attacker, honest)
        assert service.end() == 0, service.lines[-10:]


def _keys(home: Installation, data: Path, name: str) -> tuple[str, str]:
    (key,) = home.json("keys", "add", name, "--data", data, "--json")
    return key["public_key"], key["secret_key"]


def _attack(
    target: _Target,
    attack: Callable[[attackers.Means], None],
    seed: int,
    seconds: float,
    report: Report,
) -> None:
    name = attack.__name__
    report.phases[name, "before"] = all_work(target.honest, seconds * _SHARES["before"])
    files = target.open_files()
    module = [sys.executable, "-m", "tests.campaigns.attack.attackers"]
    arguments = [name, str(target.port), *target.attacker, str(seed)]
    with subprocess.Popen([*module, *arguments], stdin=subprocess.PIPE) as attacker:
        report.phases[name, "during"] = all_work(target.honest, seconds * _SHARES["during"])
        attacker.communicate(timeout=30.0)
    if attacker.returncode != 0:
        report.wrong.append(f"{name}: the attacker has failed")
    report.phases[name, "after"] = all_work(target.honest, seconds * _SHARES["after"])
    try:
        until(lambda: not list((target.data / "incoming").iterdir()))
        until(lambda: target.open_files() <= files + _MORE_FILES)
    except AssertionError:
        report.wrong.append(f"{name}: bodies or connections are left")
