"""The process that decoders are forked from."""

from __future__ import annotations

import signal
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import Unavailable
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.pool import Pool
from tests.decoding.helpers import ask, processes_of
from tests.support.hosted import lives


def test_modules_of_the_current_directory_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("struct", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    with closing(Decoders(1)) as decoders:
        decoders.warm_up()


def test_the_error_says_why_decoders_cannot_start() -> None:
    with closing(Pool(1, "tests.no_such_module:work")) as pool:
        with pytest.raises(Unavailable, match="No module named"):
            ask(pool, b"sound")
        with pytest.raises(Unavailable, match="No module named"):
            pool.check()


def test_signals_to_the_whole_group_do_not_end_decoders(pool: Pool) -> None:
    ask(pool, b"sound")
    zygote, mine = processes_of(pool)
    for each in (zygote, *mine):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            each.send_signal(number)
    assert ask(pool, b"sound") == b"sound"
    assert all(lives(each) for each in (zygote, *mine))
