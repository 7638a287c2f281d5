"""What a service needs from the process that runs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from snoopsync.config.settings import Config
from snoopsync.core.backoff import Backoff
from snoopsync.runtime.counters import Counters
from snoopsync.runtime.liveness import PATIENCE_SECONDS
from snoopsync.runtime.signals import Signals, Wakeup
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.sync.resync import Show

#: Reads the configuration again. Raises ``ConfigError`` if it cannot be used.
Reload = Callable[[], Config]

#: Returns a context manager that shows progress.
Showing = Callable[[], AbstractContextManager[Show]]


_RESYNC_BACKOFF = Backoff(base_seconds=60.0, cap_seconds=3600.0)
_SEARCH_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=1800.0)


@dataclass(frozen=True, slots=True)
class Timing:
    """The timing of the service.

    ``patience_seconds``: how long a part may make no progress. ``resync_backoff``: the pauses after
    a full resync failed. ``search_backoff``: the pauses after a search for duplicates failed.
    ``renewal_interval_seconds``: how often to ask the collection which pictures an older version
    described. ``changes_interval_seconds``: how often to ask what other owners added, if
    ``sync.rescan_interval`` is not shorter. ``labels_interval_seconds``: how often to send the
    labels that are due."""

    patience_seconds: float = PATIENCE_SECONDS
    resync_backoff: Backoff = _RESYNC_BACKOFF
    search_backoff: Backoff = _SEARCH_BACKOFF
    renewal_interval_seconds: float = 3600.0
    changes_interval_seconds: float = 300.0
    labels_interval_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment of a service. ``require_state`` raises ``StateReplaced`` if the state file is
    no longer the one in use. ``counters``: the counters for metrics."""

    signals: Signals
    wakeup: Wakeup
    reload: Reload
    systemd: SystemdNotifier = field(default_factory=lambda: SystemdNotifier({}))
    require_state: Callable[[], None] = lambda: None
    timing: Timing = field(default_factory=Timing)
    counters: Counters = field(default_factory=Counters)
