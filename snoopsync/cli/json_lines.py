"""Results and errors as lines of JSON, for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any


def print_json(values: Iterable[Mapping[str, Any]]) -> None:
    """Print each value as a line of JSON."""
    sys.stdout.writelines(json.dumps(value) + "\n" for value in values)


def print_json_error(message: str, exit_code: int) -> None:
    """Print an error as a line of JSON on standard error."""
    sys.stderr.write(json.dumps({"error": message, "exit_code": int(exit_code)}) + "\n")
