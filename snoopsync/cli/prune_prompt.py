"""Asks for confirmation of a prune that needs approval."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import click

from snoopsync.cli.context import Context
from snoopsync.config.settings import FolderConfig
from snoopsync.core.text import images
from snoopsync.sync.pruning import Pruning
from snoopsync.sync.resync_report import ResyncReport


def ask_to_prune(
    report: ResyncReport,
    resync: Callable[[str], ResyncReport],
    folders: Sequence[FolderConfig],
    context: Context,
    *,
    yes: bool,
    as_json: bool,
) -> ResyncReport:
    """If a prune waits for approval, ask for approval and prune. The plan is already printed.

    ``resync`` runs another resync, which prunes if its plan still has this digest. ``folders``: all
    configured folders. Returns the combined report.
    """
    pruning = report.pruning
    if pruning is None or not pruning.waits:
        return report
    if not (yes or (not as_json and _confirmed(pruning, folders))):
        return report
    report = resync(pruning.digest).after(report)
    if report.pruning is not None and report.pruning.waits:
        click.echo("the images to prune have changed, so none was deleted:", err=True)
        from snoopsync.cli.output import print_plan

        print_plan(context.out, report.pruning.deletes, as_json=as_json)
    return report


def _confirmed(pruning: Pruning, folders: Sequence[FolderConfig]) -> bool:
    """Ask on the terminal. Without a terminal the answer is no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    for line in (*pruning.counts([folder.name for folder in folders]), *pruning.doubts):
        click.echo(line, err=True)
    return click.confirm(f"Delete these {images(len(pruning.deletes))}?", err=True)
