"""The user's own directories, for a user who has a home directory.

The user of a container often has neither ``$HOME`` nor an entry in the list of users. Whatever
needs no such directory works there all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import platformdirs

from snoopsync.core.errors import ConfigError, Problem


def home_directory() -> Path | None:
    """The home directory, ``None`` if this user has none."""
    return _absolute(Path.home)


def config_directory(application: str = "snoopsync") -> Path | None:
    """Where the user's configuration of this application is, ``None`` if there is no place."""
    return _absolute(lambda: platformdirs.user_config_path(application, appauthor=False))


def state_directory() -> Path | None:
    """Where snoopsync keeps the user's state, ``None`` if there is no place."""
    return _absolute(lambda: platformdirs.user_state_path("snoopsync", appauthor=False))


def no_home(setting: str, variable: str) -> ConfigError:
    """The error where such a directory is needed. ``setting`` is the key or the option with which
    it is not, ``variable`` what moves it elsewhere."""
    message = f"this user has no home directory: set {setting}, or $HOME, or ${variable}"
    return ConfigError("configuration", (Problem(setting, message),))


def _absolute(find: Callable[[], Path]) -> Path | None:
    try:
        path = find()
    except RuntimeError:
        return None
    return path if path.is_absolute() else None  # older versions of platformdirs leave the ~
