"""Which groups of duplicates a command is about: shared by the list and by dismissals."""

from __future__ import annotations

import click

from snoopsync.core.protocol import KINDS

kind_option = click.option(
    "--kind",
    type=click.Choice(sorted(KINDS)),
    metavar="KIND",
    help="Only groups with an image of this kind.",
)
folder_option = click.option(
    "--folder", metavar="NAME", help="Only groups with an image in this folder."
)
