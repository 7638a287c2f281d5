"""The text of the README and of the pages in docs/, for the tests that check it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()

#: The pages in ``docs/``, by their names without the suffix.
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}

#: All of it.
DOCUMENTATION = "\n".join([README, *PAGES.values()])


@dataclass(frozen=True, slots=True)
class DocumentedEvent:
    """One row of the table of events. ``level`` is the cell, which may name several levels."""

    level: str
    keys: frozenset[str]


@cache
def events() -> dict[str, DocumentedEvent]:
    """The table of events, by the name of the event."""
    [table] = re.findall(
        r"^\| event \|.*\n\|-.*\n((?:\|.*\n)+)", section(PAGES["alerts"], "Events"), re.MULTILINE
    )
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    return {
        event: DocumentedEvent(level, frozenset(_quoted(keys)))
        for names, level, keys, _meaning, _remedy in rows
        for event in _quoted(names)
    }


def section(page: str, title: str) -> str:
    """The text of this page between the heading ``title`` and the next heading."""
    [text] = re.findall(rf"^#+ {title}\n(.*?)(?=^#+ |\Z)", page, re.MULTILINE | re.DOTALL)
    return str(text)


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in this language; '' for those that name none."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def undocumented(record: logging.LogRecord) -> Iterator[str]:
    """Where a line of snoopsync's log differs from the table of events."""
    fields = getattr(record, "fields", {})
    event, keys = fields.get("event", ""), frozenset(fields) - {"event"}
    documented = events().get(event)
    line = f"{record.name}: {record.getMessage()!r}"
    if documented is None:
        yield f"{line} has the event {event!r}, which docs/alerts.md does not list"
    elif keys - {"folder"} == {"count"} and record.getMessage().endswith("more)"):
        pass  # the line counts lines that were not logged
    elif keys != documented.keys or record.levelname.lower() not in documented.level:
        yield f"{line} has {record.levelname} and {sorted(keys)}, docs/alerts.md has {documented}"


def _quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
