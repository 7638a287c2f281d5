"""Shows how collections are moved: ``serve import`` and ``serve export``."""

from __future__ import annotations

from dataclasses import asdict

from snoopsync.cli.context import Context
from snoopsync.cli.json_lines import print_json
from snoopsync.cli.progress import progress
from snoopsync.core.model import printable
from snoopsync.core.text import counted, images
from snoopsync.server.moving import MovedCollection, open_export, open_import
from snoopsync.server.storage import Location
from snoopsync.sync.resync import ResyncProgress


def move(context: Context, location: Location, as_json: bool, *, from_directory: bool) -> None:
    """Move everything between the directory and the database of this location, and print a line
    about each collection."""
    opened = open_import if from_directory else open_export
    with opened(location) as job:
        with progress(context) as show:

            def show_images(phase: str, done: int, total: int) -> None:
                show(ResyncProgress(phase, 0, done, max(total - done, 0)))

            for moved in job.run(show_images):
                if as_json:
                    print_json([asdict(moved)])
                else:
                    context.out.print(_line(moved), highlight=False, soft_wrap=True)
        if as_json:
            return
        keys = counted(len(job.target.all_keys()), "key")
        context.out.print(
            f"verified: {printable(job.target.description)} has everything that"
            f" {printable(job.source.description)} has, and {keys}",
            highlight=False,
            soft_wrap=True,
        )
        if from_directory:
            context.err.print(
                "each node needs the same master key, with --master-key or in its --data",
                highlight=False,
                soft_wrap=True,
            )


def _line(moved: MovedCollection) -> str:
    return (
        f"{printable(moved.collection_name)}: {images(moved.images)} verified,"
        f" {moved.moved} of them moved now, digest {moved.digest}"
    )
