"""Results and errors as lines of JSON, for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from snoopsync.cli.lines import write_lines


def print_json(values: Iterable[Mapping[str, Any]]) -> None:
    """Print each value as a line of JSON."""
    write_lines(map(json.dumps, values))


def print_json_error(message: str, exit_code: int) -> None:
    """Print an error as a line of JSON on standard error."""
    sys.stderr.write(json.dumps({"error": message, "exit_code": int(exit_code)}) + "\n")
