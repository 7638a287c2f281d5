"""A picture that fills the memory of the service ends its decoder, and never the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support.mounting import mounted
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation, until

pytestmark = pytest.mark.integration

#: Enough for the service and its idle decoders, and less than the picture takes.
LIMIT_BYTES = 300 << 20
LARGE = (12_000, 12_000)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    """A control group with this limit (of version 1), as ``MemoryMax=`` of a unit makes one."""
    hierarchy = tmp_path / "groups"
    hierarchy.mkdir()
    with mounted(hierarchy, "-t", "cgroup", "-o", "memory", "none"):
        group = hierarchy / f"snoopsync-test-{tmp_path.name}"
        group.mkdir()
        try:
            (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
            yield group
        finally:
            until(lambda: not (group / "cgroup.procs").read_text())
            group.rmdir()


def test_a_picture_that_fills_the_memory_ends_only_its_decoder(tmp_path: Path, group: Path) -> None:
    home = Installation(tmp_path)
    home.configure(QUICK_SYNC)
    under = ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh")
    with home.service(under=under) as service:
        service.line_with("sync complete")
        (home.pictures / "large.png").write_bytes(encode(Image.new("RGB", LARGE), "PNG"))
        (home.pictures / "small.jpg").write_bytes(encode(photo(1)))
        assert "the decoder crashes (SIGKILL)" in service.line_with("large.png", 60.0)
        until(lambda: [row["state"] for row in home.json("list", "--json")] == ["failed", "synced"])
        assert service.end() == 0
    assert "oom_kill 0" not in (group / "memory.oom_control").read_text().splitlines()
