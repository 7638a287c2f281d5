"""What all commands share: the folders that a command is given."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from snoopsync.cli.context import names_of
from snoopsync.config.settings import Config, FolderConfig


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Two folders: the name of one is the path of the other."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "elsewhere"):
        (tmp_path / name).mkdir()
    folders = (FolderConfig("b", tmp_path / "a"), FolderConfig("a", tmp_path / "elsewhere"))
    return Config(folders=folders)


def test_a_name_comes_before_a_path(config: Config) -> None:
    assert names_of(config, ["a"]) == {"a"}


def test_a_folder_is_found_by_its_path(config: Config, tmp_path: Path) -> None:
    assert names_of(config, ["./a"]) == {"b"}
    assert names_of(config, [tmp_path / "elsewhere", "b"]) == {"a", "b"}


def test_without_folders_all_are_meant_and_an_unknown_one_is_refused(config: Config) -> None:
    assert names_of(config, []) == {"a", "b"}
    with pytest.raises(click.UsageError, match="nowhere is not a configured folder"):
        names_of(config, ["nowhere"])
