"""One sequence: its steps, and what must be so after them."""

from __future__ import annotations

import random
from collections.abc import Sequence as Row
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.disks.bench import Bench
from tests.campaigns.disks.conditions import Conditions, Layout, Story, Violation
from tests.campaigns.disks.engines import Engine, InProcess, Process
from tests.campaigns.disks.ledger import Ledger
from tests.support.collection_server import CollectionServer
from tests.support.disks import Drive, Drives
from tests.support.world import Shelf

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sequence ended. ``deletes``: DELETE requests; ``approved``: deletions by a person that
    waited for ``approve``; ``stranded``: images of a disk that was mounted below the folder."""

    deletes: int
    uploads: int
    approved: int
    stranded: int
    steps: tuple[str, ...]


class Sequence:
    """One sequence, from its beginning to its end. ``kinds`` can be mounted here."""

    def __init__(self, base: Path, conditions: Conditions, kinds: Row[str]) -> None:
        self.story = Story()
        self._conditions = conditions
        self._kinds = kinds
        self._ledger = Ledger(self.story, conditions.layout is Layout.BELOW)
        self._stack = ExitStack()
        try:
            self._stack.enter_context(self.story.listening())
            drives = self._stack.enter_context(Drives(base))
            self._server = self._stack.enter_context(CollectionServer(Shelf()))
            self._ledger.watch(self._server)
            self._bench = Bench(base, conditions, drives, self._ledger, self.story)
            make = Process if conditions.is_process else InProcess
            self._engine: Engine = make(base, conditions, self._bench.folder, self._server)
            self._stack.callback(self._engine.close)
        except BaseException:
            self._stack.close()
            raise
        self._is_started = False
        self._is_suspended = False
        #: Has the engine seen the whole folder on the right disk, and nothing else since?
        self._has_seen_all = False
        self._done: list[str] = []

    def run(self) -> Outcome:
        """Run it. Raises ``Violation``."""
        try:
            with self._stack:
                return self._run()
        except Violation as violation:
            raise Violation(f"{violation}\n{self._conditions}\n{self.story}") from violation

    def _run(self) -> Outcome:
        self._bench.make_backup()
        self._bench.mount(self._bench.right, 0)
        self._start()
        self._settle()
        self._check_files("at the beginning")
        for step in self._conditions.steps:
            self.story.tell(step.name)
            dice = step.dice
            if getattr(self, step.name)(dice) is not False:
                self._done.append(step.name)
            self._let_it_work(dice)
            self._check()
        return self._end()

    # The engine.

    def _start(self) -> None:
        if self._is_suspended:
            self._resume(60.0)
        if not self._is_started:
            self.story.tell("  start")
            self._is_started, self._has_seen_all = True, False
            self._engine.start()

    def _resume(self, seconds: float) -> None:
        self.story.tell("  resume")
        self._is_suspended = False
        self._engine.resume(seconds)

    def _let_it_work(self, dice: random.Random) -> None:
        """Sometimes long enough to see everything, sometimes not at all."""
        chance = dice.random()
        if not self._engine.runs or chance < 0.25:
            return
        if chance < 0.5:
            count = dice.randint(1, 4)
            self.story.tell(f"  look {count} times")
            self._engine.look(count)
        else:
            self._settle()

    def _settle(self) -> None:
        self.story.tell("  settle")
        self._engine.settle()
        self._has_seen_all = self._bench.is_right
        self.story.tell(f"    {self._engine.folder_state()}, {self._engine.held()} held")
        self._check_other_disk()

    def _check(self) -> None:
        if self._ledger.violations:
            raise Violation("; ".join(self._ledger.violations))

    def _check_other_disk(self) -> None:
        """A folder that is wholly on another disk is missing."""
        state = self._engine.folder_state()
        bench = self._bench
        may_be_right = bench.is_right or bench.is_backup or bench.is_half
        if self._is_whole and not may_be_right and state != "missing":
            raise Violation(f"the folder is {state} while {bench.inside or 'nothing'} is mounted")

    # Steps. One that returns False was not possible.

    def unmount(self, dice: random.Random) -> None:
        """Nothing is mounted."""
        self._leave()
        self._bench.unmount()

    def mount_right(self, dice: random.Random) -> None:
        """The right disk, perhaps with another device number."""
        self._mount(self._bench.right, dice.choice((0, 0, 1)))

    def mount_another(self, dice: random.Random) -> None:
        """A disk with other pictures, perhaps of another kind."""
        self._mount(self._bench.another(self._some_kind(dice)), 0)

    def mount_same_names(self, dice: random.Random) -> None:
        """A disk with other pictures under the same names."""
        self._mount(self._bench.same_names(), 0)

    def mount_empty(self, dice: random.Random) -> None:
        """A disk without pictures."""
        self._mount(self._bench.empty(self._some_kind(dice)), 0)

    def mount_half(self, dice: random.Random) -> bool:
        """A disk with half of the pictures."""
        half = self._bench.half()
        if half is None:
            return False
        self._mount(half, 0)
        return True

    def mount_older(self, dice: random.Random) -> None:
        """An older copy of the right disk."""
        self._mount(dice.choice(self._bench.backups)[0], dice.choice((0, 0, 1)))

    def make_backup(self, dice: random.Random) -> None:
        """Copy the right disk, and perhaps mount it again."""
        self._leave()
        self._bench.make_backup()
        if dice.random() < 0.5:
            self._mount(self._bench.right, 0)

    def edit(self, dice: random.Random) -> bool:
        """A person edits the pictures on the right disk, where it is mounted."""
        if not self._bench.is_right or self._bench.right.kind.read_only:
            return False
        expects = self._has_seen_all and self._engine.runs and self._is_exact
        before = set(self._ledger.deleted)
        # All events or none: half of a rename does not look like a rename.
        is_told = dice.random() < 0.7
        for path in self._bench.edit_here(dice):
            if is_told:
                self._engine.tell(path)
        if expects and dice.random() < 0.5:
            self._settle()
            self._check_deleted(self._ledger.deleted - before)
        return True

    def edit_away(self, dice: random.Random) -> None:
        """A person edits them on another machine."""
        self._leave()
        self._bench.edit_away(dice)

    def replace_root(self, dice: random.Random) -> bool:
        """For a while an empty directory is where the folder was."""
        bench = self._bench
        if self._conditions.layout is not Layout.SUB or not bench.is_right:
            return False
        if bench.right.kind.read_only:
            return False
        self._leave()
        with bench.replaced_root():
            self._work_on(dice, "missing")
        return True

    def cover(self, dice: random.Random) -> None:
        """For a while another disk is mounted over what is mounted."""
        kind = self._some_kind(dice)
        other = self._bench.another(kind) if dice.random() < 0.5 else self._bench.empty(kind)
        self._leave()
        with self._bench.covered(other):
            self._work_on(dice, "missing" if self._is_whole else None)

    def make_unreadable(self, dice: random.Random) -> bool:
        """For a while the disk can't be read."""
        bench = self._bench
        if bench.inside is None:
            return False
        self._leave()
        broken: AbstractContextManager[None] = nullcontext()
        if bench.inside.kind.fuse:
            self.story.tell("  its program dies")
            bench.inside.break_down()
        elif isinstance(self._engine, InProcess):
            broken = self._engine.unreadable(bench.point)
        else:
            return False
        with broken:
            self._work_on(dice, "missing" if self._is_whole else None)
        if bench.inside.kind.fuse:
            bench.unmount()
        return True

    def _work_on(self, dice: random.Random, state: str | None) -> None:
        """Work during a problem: if the engine notices it, the folder is in this ``state``."""
        if not self._engine.runs or dice.random() < 0.3:
            return
        if dice.random() < 0.4:
            self._engine.look(dice.randint(1, 3))
            return
        self._engine.settle()
        found = self._engine.folder_state()
        self.story.tell(f"    {found}")
        if state is not None and found != state:
            raise Violation(f"the folder is {found} and should be {state}")

    def restart(self, dice: random.Random) -> None:
        """SIGTERM, and a start."""
        self.stop(dice)
        self._start()

    def kill(self, dice: random.Random) -> None:
        """SIGKILL, and a start."""
        if self._is_started:
            self._is_started = self._is_suspended = False
            self._engine.kill()
        self._start()

    def stop(self, dice: random.Random) -> None:
        """SIGTERM."""
        if self._is_started:
            if self._is_suspended:
                self._resume(60.0)
            self._is_started = False
            self._engine.stop()

    def suspend(self, dice: random.Random) -> bool:
        """The machine sleeps. Disks are swapped meanwhile, in the next steps or none."""
        if self._is_suspended:
            self._resume(dice.choice((1.0, 60.0, 8 * 3600.0)))
            return True
        if not self._engine.runs:
            return False
        self._is_suspended = True
        self._engine.suspend()
        return True

    def step_clock(self, dice: random.Random) -> None:
        """The wall clock is set."""
        self._engine.step_clock(dice.choice((-_DAY_SECONDS, -60.0, 60.0, _DAY_SECONDS)))

    def resync(self, dice: random.Random) -> bool:
        """A full resync; it may prune."""
        if self._is_suspended:
            return False
        self._engine.resync(prune=dice.random() < 0.3)
        return True

    def look(self, dice: random.Random) -> None:
        """Only work."""

    # Helpers of these.

    def _leave(self) -> None:
        self._has_seen_all = False

    def _mount(self, drive: Drive, slot: int) -> None:
        self._leave()
        if self._bench.inside is not drive:
            self._bench.mount(drive, slot)

    def _some_kind(self, dice: random.Random) -> str:
        return self._conditions.kind if dice.random() < 0.75 else dice.choice(self._kinds)

    @property
    def _is_whole(self) -> bool:
        """Is all of the folder on the disk?"""
        return self._conditions.layout is not Layout.BELOW

    @property
    def _is_exact(self) -> bool:
        """Is it known when snoopsync has seen everything, and does the bulk guard hold nothing?"""
        return not self._conditions.is_process and self._conditions.hold is None

    # What must be so.

    @property
    def _images(self) -> dict[str, str]:
        return dict(self._server.contents)

    def _check_deleted(self, deleted: set[int]) -> None:
        """Deletions by a person that snoopsync has seen need no approval."""
        left = deleted & {self._ledger.number(sha) for sha in self._images.values()}
        if left:
            raise Violation(f"pictures {sorted(left)} were deleted in plain sight and are left")

    def _check_files(self, when: str) -> None:
        """Every picture of the folder is in the collection, under one ID."""
        self._check()
        expected = self._bench.expected()
        images = self._engine.mirrored()
        wrong = {path for path, digest in expected.items() if images.get(path) != digest}
        if wrong:
            raise Violation(
                f"not in sync {when}: {', '.join(sorted(wrong)[:5])} ({len(wrong)});"
                f" the folder is {self._engine.folder_state()}"
            )

    def _surplus(self) -> list[str]:
        """The SHA-256 of every image that no picture of the folder accounts for."""
        left = dict.fromkeys(self._bench.expected().values())
        surplus = []
        for digest in self._images.values():
            if digest in left:
                del left[digest]
            else:
                surplus.append(digest)
        return surplus

    def _end(self) -> Outcome:
        """The right disk is back: everything comes into sync."""
        self.story.tell("the end")
        if not self._bench.is_right:
            self._mount(self._bench.right, 0)
        self._start()
        self._engine.wait_until_mirrored(self._bench.expected())
        self._settle()
        self._check_files("in the end")
        stranded = list(filter(self._ledger.may_be_stranded, self._surplus()))
        held = [each for each in self._surplus() if each not in stranded]
        unjustified = [each for each in held if not self._ledger.may_be_left(each)]
        if unjustified:
            numbers = [self._ledger.number(each) for each in unjustified]
            raise Violation(f"pictures {numbers} have no file, and no person deleted them")
        if held:
            self._approve(len(held))
        # Pictures of a disk that was mounted below the folder once are on a disk that is away.
        if not stranded and self._engine.folder_state() != "ok":
            raise Violation(f"the folder is {self._engine.folder_state()} in the end")
        requests = self._ledger.requests
        return Outcome(
            requests["DELETE"],
            requests["POST"] + requests["PUT"],
            len(held),
            len(stranded),
            tuple(self._done),
        )

    def _approve(self, count: int) -> None:
        """The remaining deletions are held, and ``approve`` sends them."""
        if self._engine.held() < count:
            raise Violation(f"{count} images are of no file, and {self._engine.held()} are held")
        self._ledger.deleted |= {self._ledger.number(each) for each in self._surplus()}
        self._engine.approve()
        self._settle()
        self._settle()
        self._check()
        left = [each for each in self._surplus() if not self._ledger.may_be_stranded(each)]
        if left:
            raise Violation(f"{len(left)} images are left after they were approved to go")
        self._check_files("after the approval")
