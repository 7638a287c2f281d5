"""Which files of a group can be removed. ``test_duplicates`` has the command."""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.cli.surplus import surplus_files
from snoopsync.config.settings import Config, DuplicatesConfig, default_config
from snoopsync.core.keep import Keep, Reason
from snoopsync.core.model import RelPath
from snoopsync.core.shots import Relation
from snoopsync.runtime.sqlite import MEMORY
from snoopsync.state.database import Database
from snoopsync.state.decisions import Decisions
from snoopsync.state.group_rows import Likeness
from snoopsync.state.groups import Group, GroupImage
from snoopsync.state.sides import Side

REENCODED = Likeness(2, "reencoded")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "photos").mkdir()
    return default_config([tmp_path / "photos"])


def surplus(config: Config, other: str, likeness: Likeness, *, series: bool = False) -> list[bytes]:
    """The surplus of a group with the picture to keep, ``IMG_1.CR3``, and another one."""
    [folder] = config.folders
    sides = []
    for name in ("IMG_1.CR3", other):
        (folder.path / name).write_bytes(name.encode())
        content = hashlib.sha256(name.encode()).digest()
        sides.append(Side(name, RelPath(folder.name, name.encode()), content=content))
    images = GroupImage(sides[0], None), GroupImage(sides[1], likeness)
    group = Group("1", images, Keep("IMG_1.CR3", Reason.LOSSLESS), False, series, 1, 0.0)
    with closing(Database(Path(MEMORY))) as database:
        return list(surplus_files(config, Decisions(database), group, with_reencoded=True))


def test_a_companion_is_no_surplus_though_no_search_compared_the_two(config: Config) -> None:
    assert len(surplus(config, "other.jpg", REENCODED)) == 1
    assert surplus(config, "IMG_1.jpg", REENCODED) == []
    without = replace(config, duplicates=DuplicatesConfig(companions=False))
    assert len(surplus(without, "IMG_1.jpg", REENCODED)) == 1


@pytest.mark.parametrize("relation", [Relation.COMPANION, Relation.SERIES])
def test_what_a_search_found_to_be_no_duplicate_is_no_surplus(
    config: Config, relation: Relation
) -> None:
    assert surplus(config, "other.jpg", replace(REENCODED, relation=relation)) == []


def test_a_series_has_no_surplus(config: Config) -> None:
    assert surplus(config, "other.jpg", REENCODED, series=True) == []
