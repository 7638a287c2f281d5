"""What a running service gets from the process that it runs in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from snoopsync.config.settings import Config
from snoopsync.runtime.counters import Counters
from snoopsync.runtime.liveness import PATIENCE_SECONDS
from snoopsync.runtime.signals import Signals, Wakeup
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.sync.resync import Show

#: Reads the configuration again. Raises ``ConfigError`` if it cannot be used.
Reload = Callable[[], Config]

#: Shows progress while its ``with`` lasts.
Showing = Callable[[], AbstractContextManager[Show]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Pauses, in seconds. ``patience``: how long a part may make no progress. ``resync_again``:
    until a full resync that failed is tried again, at first. ``search_again``: the same for the
    search for duplicates."""

    patience: float = PATIENCE_SECONDS
    resync_again: float = 30.0
    search_again: float = 15.0


@dataclass(frozen=True, slots=True)
class Environment:
    """What is around a service. ``require_state`` raises ``StateReplaced`` when the state file is
    not the one in use. ``counters`` counts what is done."""

    signals: Signals
    wakeup: Wakeup
    reload: Reload
    systemd: SystemdNotifier = field(default_factory=lambda: SystemdNotifier({}))
    require_state: Callable[[], None] = lambda: None
    timing: Timing = field(default_factory=Timing)
    counters: Counters = field(default_factory=Counters)
