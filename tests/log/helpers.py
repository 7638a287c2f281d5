"""Loggers of the tests."""

from __future__ import annotations

import logging
import os
import pty
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import pytest

from snoopsync.config.settings import LogConfig
from snoopsync.log.setup import configure

ODD = "a\nb\x1b[2Jc\u202ed\udcff"
log = logging.getLogger("snoopsync.test")


def begin(
    config: LogConfig, verbosity: int = 0, environ: Mapping[str, str] = MappingProxyType({})
) -> None:
    configure(config, verbosity=verbosity, environ=environ)


@contextmanager
def terminal() -> Iterator[Callable[[], str]]:
    """Standard error is one; what it has shown."""
    theirs, ours = pty.openpty()
    with (
        os.fdopen(theirs, "rb", buffering=0) as screen,
        os.fdopen(ours, "w") as stderr,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stderr", stderr)
        yield lambda: screen.read(10_000).decode()
