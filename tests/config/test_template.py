"""The commented configuration that ``init`` writes, and the example in the repository."""

from __future__ import annotations

import os
import re
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.config.file import load_config
from snoopsync.config.settings import (
    CollectionConfig,
    Config,
    ControlConfig,
    DuplicatesConfig,
    FolderConfig,
    HoldPolicy,
    LogConfig,
    MetricsConfig,
    NotifyConfig,
    SyncConfig,
    default_config,
    default_owner,
)
from snoopsync.config.template import render_config
from tests.config.helpers import Home
from tests.support.paths import ROOT

EXAMPLE = ROOT / "config.example.yaml"


def keys_of(cls: type, prefix: str = "") -> set[str]:
    """Every key in the schema of a section."""
    return {prefix + field.metadata["key"] for field in fields(cls) if field.metadata}


def keys_in(section: Any, prefix: str = "") -> set[str]:
    """Every key in YAML. Keys of a list's items count as keys of the list."""
    if isinstance(section, list):
        return {name for item in section for name in keys_in(item, prefix)}
    if not isinstance(section, dict):
        return set()
    names = {prefix + key for key in section}
    return names.union(*(keys_in(value, f"{prefix}{key}.") for key, value in section.items()))


def test_the_example_has_every_key_and_no_other() -> None:
    everything = re.sub(r"(?m)^( *)#(\w)", r"\1\2", EXAMPLE.read_text())
    assert keys_in(yaml.safe_load(everything)) == (
        keys_of(Config)
        | keys_of(CollectionConfig, "collection.")
        | keys_of(FolderConfig, "folders.")
        | keys_of(SyncConfig, "sync.")
        | keys_of(HoldPolicy, "sync.hold_deletes_over.")
        | keys_of(DuplicatesConfig, "duplicates.")
        | keys_of(LogConfig, "log.")
        | keys_of(NotifyConfig, "notify.")
        | keys_of(ControlConfig, "control.")
        | keys_of(MetricsConfig, "metrics.")
    )


def test_the_example_has_the_defaults() -> None:
    expected = default_config([Path("/srv/photos")])
    expected = replace(expected, collection=CollectionConfig(owner="studio-nas"), source=EXAMPLE)
    assert load_config(EXAMPLE, {}) == expected


def test_every_key_of_the_example_has_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    sections = {"collection:", "folders:", "sync:", "duplicates:", "log:", "- path: /srv/photos"}
    for above, line in pairwise(lines):
        if re.match(r" *#?[a-z_]+:", line) and line not in sections:
            assert above.lstrip().startswith("#"), line


def test_the_example_is_what_init_writes() -> None:
    assert EXAMPLE.read_text() == render_config([Path("/srv/photos")], owner="studio-nas")


def test_a_written_configuration_for_a_service_names_the_secret_file(home: Home) -> None:
    secret = home.path / "a: secret #1"
    secret.write_text("x")
    secret.chmod(0o600)
    text = render_config([home.path / "a"], "https://host/api/v1", "24", "nas", secret)
    home.config.write_text(text)
    collection = load_config(home.config, {}).collection
    assert (collection.endpoint, collection.public_key) == ("https://host/api/v1", "24")
    assert (collection.owner, collection.secret_key_file) == ("nas", secret)


def test_a_written_configuration_contains_the_owner(home: Home) -> None:
    text = render_config([home.path / "a"])
    assert yaml.safe_load(text)["collection"]["owner"] == default_owner()


characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
awkward = st.sampled_from(" \t\n\r\x85\u2028\ufeff:#'\"-?*&!|>%@`{}[],$\\")
names = st.text(characters | awkward, min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(names, min_size=1, max_size=3, unique=True))
def test_written_folders_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    expected = default_config([Path("/srv", name) for name in names]).folders
    home = Home(tmp_path_factory.mktemp("home"))
    assert home.load(render_config([folder.path for folder in expected])).folders == expected


@pytest.mark.parametrize("name", [b"caf\xe9", b"\n", b"a\xc2\x85b", b" ", b"- a: #", b"~", b"no"])
def test_written_odd_folders_are_read_back(home: Home, name: bytes) -> None:
    folder = Path("/srv", os.fsdecode(name))
    assert home.load(render_config([folder])).folders == default_config([folder]).folders
