"""Lines of a long list."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper

import pytest

from snoopsync.cli.lines import write_lines


def test_a_reader_of_a_pipe_gets_the_first_line_before_the_second_one_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(pipe))

    def lines() -> Iterator[str]:
        yield "first"
        assert pipe.getvalue() == b"first\n"
        yield "second"

    write_lines(lines())
    sys.stdout.flush()
    assert pipe.getvalue() == b"first\nsecond\n"
