"""Small worlds with some files mirrored."""

from __future__ import annotations

from collections.abc import Mapping

from snoopsync.sync.resync_report import Summary
from tests.support.world import World, fake_picture

A, B, C, D = (fake_picture(number) for number in range(4))


def mirror(
    world: World, files: Mapping[str, bytes] | None = None, **named: bytes
) -> dict[str, str]:
    """Have these files mirrored, and return their IDs by path. ``album_c`` names
    ``album/c.jpg``."""
    by_name = {f"{name.replace('_', '/')}.jpg": data for name, data in named.items()}
    for path, data in {**(files or {}), **by_name}.items():
        world.disk.write(path, data)
    world.resync()
    world.check_mirrored()
    world.remote.forget_requests()
    return ids(world)


def ids(world: World) -> dict[str, str]:
    """The IDs of all images by path below their folder."""
    return {rel_path.partition("/")[2]: image_id for rel_path, image_id in world.ids().items()}


def crash_while_sending(world: World, path: str, data: bytes) -> None:
    """Write a file, and end the service when the file is sent and not yet confirmed."""
    with world.running_until_it_crashes() as live:
        live.reconcile()
        world.disk.write(path, data)
        live.scan()
        live.until(lambda: len(world.remote.uploads()) == 1)


def adds_up(summary: Summary) -> bool:
    """Is each file that was found counted once?"""
    done = summary.added + summary.updated + summary.renamed + summary.adopted
    return summary.scanned == done + summary.unchanged + summary.failed
