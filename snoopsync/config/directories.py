"""The user's own directories, if the user has a home directory.

In a container, the user often has neither ``$HOME`` nor an entry in ``/etc/passwd``. Everything
that does not need such a directory must still work.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snoopsync.core.errors import ConfigError, Problem


def home_directory() -> Path | None:
    """The home directory; ``None`` if this user has none."""
    return _absolute(Path.home)


def config_directory(application: str = "snoopsync") -> Path | None:
    """The directory for the user's configuration of this application; ``None`` if this user has no
    home directory."""

    def find() -> Path:
        # Imported late: a configuration often names the files that this is the default for.
        import platformdirs

        return platformdirs.user_config_path(application, appauthor=False)

    return _absolute(find)


def state_directory() -> Path | None:
    """The directory for the user's state; ``None`` if this user has no home directory."""

    def find() -> Path:
        import platformdirs

        return platformdirs.user_state_path("snoopsync", appauthor=False)

    return _absolute(find)


def cache_directory() -> Path | None:
    """The directory for files that can be created again; ``None`` if this user has no home
    directory."""

    def find() -> Path:
        import platformdirs

        return platformdirs.user_cache_path("snoopsync", appauthor=False)

    return _absolute(find)


def no_home(setting: str, variable: str) -> ConfigError:
    """The error for a user without a home directory who needs one of these directories.
    ``setting``: the key or option to set instead. ``variable``: the environment variable to set
    instead."""
    message = f"this user has no home directory: set {setting}, or $HOME, or ${variable}"
    return ConfigError("configuration", (Problem(setting, message),))


def _absolute(find: Callable[[], Path]) -> Path | None:
    try:
        path = find()
    except RuntimeError:
        return None
    return path if path.is_absolute() else None  # older versions of platformdirs leave the ~
