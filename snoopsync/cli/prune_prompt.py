"""Asks a person whether the plan of a prune is to be carried out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click
from rich.console import Console

from snoopsync.cli import output as results
from snoopsync.config.settings import FolderConfig
from snoopsync.core.text import images
from snoopsync.sync.pruning import Pruning
from snoopsync.sync.resync import Report


def ask_to_prune(
    report: Report,
    resync: Callable[[str], Report],
    folders: Sequence[FolderConfig],
    console: Console,
    *,
    yes: bool,
    as_json: bool,
) -> Report:
    """If a prune waits for approval and gets it, do it. Its plan is printed already.

    ``resync`` does another resync, which prunes if the plan with this digest is still the right
    one. ``folders``: all that are configured. Returns the report of all that was done.
    """
    pruning = report.pruning
    if pruning is None or not pruning.waits:
        return report
    if not (yes or (not as_json and _confirmed(pruning, folders))):
        return report
    report = resync(pruning.digest).after(report)
    if report.pruning is not None and report.pruning.waits:
        click.echo("the images to prune are not the same any more, none was deleted:", err=True)
        results.plan(console, report.pruning.deletes, as_json=as_json)
    return report


def _confirmed(pruning: Pruning, folders: Sequence[FolderConfig]) -> bool:
    """Does a person at the terminal confirm this plan? Without a terminal nobody does."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    for line in (*pruning.counts([folder.name for folder in folders]), *pruning.doubts):
        click.echo(line, err=True)
    return click.confirm(f"Delete these {images(len(pruning.deletes))}?", err=True)
