"""What the README says, for the tests that hold it to it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()


@dataclass(frozen=True, slots=True)
class Promise:
    """What the table of events says of one. ``level`` is the cell, which may name several."""

    level: str
    keys: frozenset[str]


@cache
def events() -> dict[str, Promise]:
    """The table of events."""
    [table] = re.findall(r"^\| event \|.*\n\|-.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    return {
        event: Promise(level, frozenset(_quoted(keys)))
        for names, level, keys, _meaning, _remedy in rows
        for event in _quoted(names)
    }


def section(title: str) -> str:
    """What is under this heading."""
    [text] = re.findall(rf"^#+ {title}\n(.*?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    return str(text)


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def broken_promises(record: logging.LogRecord) -> Iterator[str]:
    """What is not true of this line of snoopsync's log that the table of events says."""
    fields = getattr(record, "fields", {})
    event, keys = fields.get("event", ""), frozenset(fields) - {"event"}
    promise = events().get(event)
    said = f"{record.name}: {record.getMessage()!r}"
    if promise is None:
        yield f"{said} is of no event of the README's table, but {event!r}"
    elif keys - {"folder"} == {"count"} and record.getMessage().endswith("more)"):
        pass  # it counts lines that were not logged
    elif keys != promise.keys or record.levelname.lower() not in promise.level:
        yield f"{said} has {record.levelname} and {sorted(keys)}, the README says {promise}"


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
