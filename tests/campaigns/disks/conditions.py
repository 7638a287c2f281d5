"""What is decided by the seed before a sequence begins, and the story of what then happens."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

from snoopsync.config.settings import HoldPolicy


class Layout(StrEnum):
    """Where the folder is."""

    WHOLE = "the disk is the folder"
    SUB = "the folder is a directory of the disk"
    BELOW = "the disk is mounted below the folder"


class Violation(AssertionError):
    """snoopsync broke a promise."""


#: How often each kind of disk is chosen, where it can be mounted: those without an ID more often.
KIND_WEIGHTS = {
    "exfat": 6,
    "ntfs": 5,
    "squashfs": 3,
    "vfat": 5,
    "bindfs": 2,
    "sshfs": 2,
    "ext4": 4,
    "btrfs": 2,
    "xfs": 1,
    "overlay": 2,
    "bind": 1,
}

#: The steps (methods of ``Sequence``), and how often each is chosen.
STEP_WEIGHTS = {
    "unmount": 8,
    "mount_right": 12,
    "mount_another": 7,
    "mount_same_names": 6,
    "mount_empty": 4,
    "mount_half": 4,
    "mount_older": 6,
    "make_backup": 5,
    "edit": 10,
    "edit_away": 7,
    "replace_root": 3,
    "cover": 4,
    "make_unreadable": 4,
    "restart": 6,
    "kill": 5,
    "stop": 3,
    "suspend": 5,
    "step_clock": 4,
    "resync": 3,
    "look": 4,
}

_FEWEST_STEPS, _MOST_STEPS = 4, 14

#: A real process takes ten times as long.
_FEWEST_STEPS_OF_PROCESS, _MOST_STEPS_OF_PROCESS = 3, 7


@dataclass(frozen=True, slots=True)
class Step:
    """One step, and the dice of its own: it stays the same when other steps are left out."""

    name: str
    seed: int

    @property
    def dice(self) -> random.Random:
        return random.Random(self.seed)


@dataclass(frozen=True, slots=True)
class Conditions:
    """One sequence. ``hold`` is ``None`` if no deletions in bulk are held. ``is_process``: with a
    real service."""

    seed: int
    index: int
    kind: str
    layout: Layout
    pictures: int
    hold: HoldPolicy | None
    delete_after_seconds: float
    is_process: bool
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, seed: int, index: int, kinds: Sequence[str], process_share: float) -> Conditions:
        """The conditions of this sequence of this seed, with one of these kinds of disks. They
        depend on nothing else, as long as its first choice of a kind is among these."""
        dice = random.Random(f"disks {seed} {index}")
        kind = dice.choices(list(KIND_WEIGHTS), list(KIND_WEIGHTS.values()))[0]
        if kind not in kinds:
            kind = random.Random(index).choice(kinds)
        layout = dice.choice((Layout.WHOLE, Layout.WHOLE, Layout.SUB, Layout.BELOW))
        pictures = dice.choice((4, 6, 9, 12, 12, 20, 45))
        hold = dice.choice((None, None, HoldPolicy()))
        delete_after = dice.choice((0.0, 5.0))
        is_process = dice.random() < process_share
        fewest, most = _FEWEST_STEPS, _MOST_STEPS
        if is_process:
            fewest, most = _FEWEST_STEPS_OF_PROCESS, _MOST_STEPS_OF_PROCESS
        names = dice.choices(
            list(STEP_WEIGHTS), list(STEP_WEIGHTS.values()), k=dice.randint(fewest, most)
        )
        steps = tuple(Step(name, dice.randrange(1 << 32)) for name in names)
        return cls(seed, index, kind, layout, pictures, hold, delete_after, is_process, steps)

    def without(self, number: int) -> Conditions:
        """The same sequence without one of its steps."""
        return replace(self, steps=self.steps[:number] + self.steps[number + 1 :])

    def __str__(self) -> str:
        how = "a real service" if self.is_process else "the engine"
        hold = "never held" if self.hold is None else f"held over {self.hold.count}"
        steps = ", ".join(step.name for step in self.steps)
        return (
            f"seed {self.seed}, sequence {self.index}: {self.kind}, {self.layout},"
            f" {self.pictures} pictures, {how}, deletions {hold},"
            f" delete_after {self.delete_after_seconds:g} s; {steps}"
        )


class Story(logging.Handler):
    """What happened, in order, with what snoopsync logged in this process."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: list[str] = []

    def tell(self, text: str) -> None:
        """Something happens now. From any thread."""
        self._lines.append(text)

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(f"    log: {record.getMessage()}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Record what snoopsync logs, here only."""
        logger = logging.getLogger("snoopsync")
        before = logger.level, logger.propagate
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.setLevel(before[0])
            logger.propagate = before[1]

    def __str__(self) -> str:
        """A request that is like the one before is left out after three of them."""
        lines: list[str] = []
        for line in self._lines:
            alike = [line.split()[:1] == each.split()[:1] and _is_upload(each) for each in lines]
            if _is_upload(line) and alike[-3:] == [True, True, True]:
                continue
            lines.append(line)
        return "\n".join(lines)


def _is_upload(line: str) -> bool:
    return line.startswith(("    POST", "    PUT", "    log: added"))
