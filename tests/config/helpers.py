"""A directory with a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from snoopsync.config.file import load_config
from snoopsync.config.settings import Config
from snoopsync.core.errors import ConfigError, Problem

FOLDERS = "folders: [{path: photos}]\n"


class Home:
    """A directory with a configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"

    def load(self, content: str | bytes) -> Config:
        self.config.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_config(self.config, {})

    def problems(self, content: str | bytes) -> tuple[Problem, ...]:
        with pytest.raises(ConfigError) as caught:
            self.load(content)
        assert caught.value.source == str(self.config)
        return caught.value.problems

    def problem(self, content: str | bytes) -> Problem:
        (problem,) = self.problems(content)
        return problem


SECRET = "sUGSL96ZvNxqHixSPUopX5L1MtSPdkjrSPrPOCMX"


def private(path: Path, content: str, mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path
