"""Random histories of everything together: real folders, a real state file, a real server, and
faults of people, kernels and networks. Whatever happens, once it is quiet the collection equals the
disk, every picture has kept its ID, and no image whose file exists was deleted.

In a round in which nothing was looked at before its end, the ID that each file must have is known
for certain (see ``Round``), except for files whose content existed twice.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import DuplicatesConfig
from snoopsync.core.planner import Action
from snoopsync.state.database import Database
from snoopsync.sync.planning import PlanningPace
from tests.support.collection_server import Seen
from tests.support.faults import Fault, answers, reset_after, reset_before
from tests.support.world import (
    DiskFolder,
    InlineWorkers,
    Live,
    ServedWorld,
    ToldWatcher,
    World,
    fake_picture,
    lines,
)

FOLDERS = ("photos", "scans")
DIRECTORIES = ("", "x/", "x/y/")
NAMES = ("a.jpg", "b.jpg", "c.jpg")
FOREIGN = {"somebody.else": fake_picture(1_000_000), "tester-too.1": fake_picture(1_000_001)}
FAULTS: tuple[Callable[[], Fault], ...] = (
    reset_before,
    reset_after,
    lambda: answers(500),
    lambda: answers(503, b"<html>later</html>"),
)

#: A file: the folder's name, and the path below it.
Spot = tuple[str, str]

paces = st.sampled_from([PlanningPace(), PlanningPace(batch_files=2, step_seconds=0.0)])
spots = st.tuples(
    st.sampled_from(FOLDERS),
    st.builds("{}{}".format, st.sampled_from(DIRECTORIES), st.sampled_from(NAMES)),
)
#: Picks one of the files that there are.
picks = st.integers(0, 11)
told = st.booleans()


class Crash(BaseException):
    """The process ends here."""


class FusedDatabase(Database):
    """Ends the process at a change that is still to come; ``fuse`` counts them down."""

    fuse: int | None = None

    def _burn(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise Crash

    def change(self, sql: str, parameters: Any = ()) -> int:
        self._burn()
        return super().change(sql, parameters)

    def change_many(self, sql: str, rows: Any) -> None:
        self._burn()
        super().change_many(sql, rows)


@dataclass
class Round:
    """What was done since everything was last in order, as far as it decides the IDs.

    ``ids`` are those of that time. ``origin`` says for each file that was there then, and still is,
    where it was. ``edited`` are those (by origin) that have other bytes now. ``seen_twice`` are
    contents that more than one file had. ``was_observed``: snoopsync has looked in the midst of it,
    so it may have drawn conclusions that were right at that moment.
    """

    ids: dict[Spot, str] = field(default_factory=dict)
    before: dict[Spot, str] = field(default_factory=dict)
    origin: dict[Spot, Spot] = field(default_factory=dict)
    edited: set[Spot] = field(default_factory=set)
    seen_twice: set[str] = field(default_factory=set)
    was_observed: bool = False
    state_was_lost: bool = False

    def moved(self, source: Spot, target: Spot) -> None:
        """A file was renamed, onto whatever was there."""
        self.origin.pop(target, None)
        if source in self.origin:
            self.origin[target] = self.origin.pop(source)

    def changed(self, spot: Spot) -> None:
        """The file at this path has other bytes now."""
        if spot in self.origin:
            self.edited.add(self.origin[spot])

    def removed(self, spot: Spot) -> None:
        """The file is gone."""
        self.origin.pop(spot, None)

    def expected(self) -> dict[Spot, str]:
        """The IDs that are certain."""
        if self.was_observed:
            return {}
        rel_paths = {origin: spot for spot, origin in self.origin.items()}
        if self.state_was_lost:
            doubtful = {spot for spot, digest in self.before.items() if digest in self.seen_twice}
            return {
                spot: self.ids[origin]
                for origin, spot in rel_paths.items()
                if origin not in self.edited | doubtful
            }
        doubtful = self._near_doubt(rel_paths)
        return {
            spot: self.ids[spot if self._is_kept_by_its_place(spot, rel_paths, set()) else origin]
            for origin, spot in rel_paths.items()
            if spot not in doubtful and (spot == origin or origin not in self.edited)
        }

    def _near_doubt(self, rel_paths: dict[Spot, Spot]) -> set[Spot]:
        """The places of pictures that may be taken for one another, and all that pictures were
        moved to from there or from where they were moved to there, and so on."""
        near = {spot for spot, digest in self.before.items() if digest in self.seen_twice}
        grows = True
        while grows:
            links = [{origin, spot} for origin, spot in rel_paths.items()]
            more = {spot for link in links if link & near for spot in link} - near
            near |= more
            grows = bool(more)
        return near

    def _is_kept_by_its_place(
        self, spot: Spot, rel_paths: dict[Spot, Spot], asked: set[Spot]
    ) -> bool:
        """Does the image of this place stay here, whatever file came? It does if its own file went
        nowhere: then what came has replaced it."""
        if spot not in self.ids:
            return False
        if spot in asked:
            return False  # A ring: everyone moves.
        target = rel_paths.get(spot)
        if target is None or (target != spot and spot in self.edited):
            return True
        if target == spot:
            return True
        return self._is_kept_by_its_place(target, rel_paths, asked | {spot})


class WholeMachine(RuleBasedStateMachine):
    """One world from its beginning to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        base = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.world: World = self.stack.enter_context(ServedWorld(base))
        self.world.add_folder("scans")
        self.world.duplicates = DuplicatesConfig(alert=False)
        self.world.open_database = FusedDatabase
        self.world.make_workers = self._make_workers
        self.disks = {name: DiskFolder(base / name) for name in FOLDERS}
        for image_id, data in FOREIGN.items():
            self.world.remote.add(image_id, data)
        self.world.remote.server.fault_for = self._meet_request
        self.numbers = iter(range(1_000_000))
        self.round = Round()
        self.wrong_deletes: list[str] = []
        self.failures: list[BaseException] = []
        self.interference: Callable[[], None] = lambda: None
        self.pruning = False
        self._start()

    def teardown(self) -> None:
        self._crash()
        self.stack.close()

    # The service, and what happens to its requests.

    def _start(self) -> None:
        self.run = ExitStack()
        self.watcher = ToldWatcher()
        self.live: Live = self.run.enter_context(self.world.running_until_it_crashes(self.watcher))

    def _make_workers(self, count: int, name: str) -> InlineWorkers:
        workers = InlineWorkers(count, name)
        if name == "send":
            self.senders = workers
        return workers

    def _calm_down(self) -> None:
        """From now on requests are answered, and answers arrive."""
        self.world.remote.server.faults.clear()
        self.senders.keeps_back = False
        self.senders.release()

    def _crash(self) -> None:
        self.world.remote.server.faults.clear()
        self.interference = lambda: None
        self.run.close()

    def _meet_request(self, seen: Seen) -> None:
        """On the server's thread: what goes wrong here must not be lost."""
        try:
            if seen.method == "DELETE" and not self.pruning:
                self._check_delete(seen)
            if seen.method in ("POST", "PUT") and "/image/" in seen.path:
                interfere, self.interference = self.interference, lambda: None
                interfere()
        except BaseException as error:
            self.failures.append(error)
            raise

    def _check_delete(self, seen: Seen) -> None:
        rel_paths = {image_id: rel_path for rel_path, image_id in self.world.ids().items()}
        rel_path = rel_paths.get(seen.image_id or "", "")
        if rel_path in self.world.on_disk():
            self.wrong_deletes.append(rel_path)

    # The disk.

    def _files(self) -> list[Spot]:
        return [(name, path) for name, disk in self.disks.items() for path in disk.paths()]

    def _pick(self, pick: int) -> Spot | None:
        files = self._files()
        return files[pick % len(files)] if files else None

    def _directories(self) -> list[Spot]:
        return [(name, path) for name, disk in self.disks.items() for path in disk.directories()]

    def _fresh(self) -> bytes:
        return fake_picture(next(self.numbers))

    def _is_free(self, spot: Spot) -> bool:
        """Can a file be put at this path? Not in the place of a directory, or below a file."""
        root = self.disks[spot[0]].root
        target = root / spot[1]
        return not target.is_dir() and not any(
            parent.is_file() for parent in target.parents if parent.is_relative_to(root)
        )

    def _hint(self, is_told: bool, *changed: Spot) -> None:
        if is_told:
            for name, path in changed:
                self.watcher.told[name].tell(path)

    def _note_contents(self) -> None:
        digests = Counter(self.world.on_disk().values())
        self.round.seen_twice |= {digest for digest, count in digests.items() if count > 1}

    @initialize(at=st.lists(spots, min_size=2, max_size=8, unique=True), pace=paces)
    def begin(self, at: list[Spot], pace: PlanningPace) -> None:
        """Some files are there, and mirrored. All is planned at once, or little by little."""
        self._crash()
        self.world.planning = pace
        self._start()
        for spot in at:
            self.write(spot, False)
        self.come_to_rest()

    @rule(spot=spots, is_told=told)
    def write(self, spot: Spot, is_told: bool) -> None:
        """A new file, or other bytes in a known one."""
        if self._is_free(spot):
            self.disks[spot[0]].write(spot[1], self._fresh())
            self.round.changed(spot)
            self._hint(is_told, spot)

    @rule(pick=picks, is_told=told)
    def edit(self, pick: int, is_told: bool) -> None:
        if spot := self._pick(pick):
            self.disks[spot[0]].write(spot[1], self._fresh())
            self.round.changed(spot)
            self._hint(is_told, spot)

    @rule(pick=picks, is_told=told)
    def replace(self, pick: int, is_told: bool) -> None:
        if spot := self._pick(pick):
            self.disks[spot[0]].replace(spot[1], self._fresh())
            self.round.changed(spot)
            self._hint(is_told, spot)

    @rule(pick=picks, to=spots, is_told=told)
    def copy(self, pick: int, to: Spot, is_told: bool) -> None:
        spot = self._pick(pick)
        if spot and spot != to and self._is_free(to):
            self.disks[to[0]].write(to[1], self.disks[spot[0]].read(spot[1]))
            self.round.changed(to)
            self._note_contents()
            self._hint(is_told, to)

    @rule(pick=picks, to=spots, is_told=told)
    def rename(self, pick: int, to: Spot, is_told: bool) -> None:
        spot = self._pick(pick)
        if spot and spot != to and self._is_free(to):
            self.disks[spot[0]].rename(spot[1], to[1], self.disks[to[0]])
            self.round.moved(spot, to)
            self._hint(is_told, spot, to)

    @rule(pick=picks, to=spots, is_told=told)
    def make_room(self, pick: int, to: Spot, is_told: bool) -> None:
        """Rename a file, and put a new one where it was."""
        spot = self._pick(pick)
        self.rename(pick, to, is_told)
        if spot and spot != to:
            self.write(spot, is_told)

    @rule(pick=picks, other=picks, is_told=told)
    def swap(self, pick: int, other: int, is_told: bool) -> None:
        first, second = self._pick(pick), self._pick(other)
        if first and second and first != second and first[0] == second[0]:
            self.disks[first[0]].swap(first[1], second[1])
            aside = ("", "")
            self.round.moved(first, aside)
            self.round.moved(second, first)
            self.round.moved(aside, second)
            self._hint(is_told, first, second)

    @rule(pick=picks, is_told=told)
    def touch(self, pick: int, is_told: bool) -> None:
        if spot := self._pick(pick):
            self.disks[spot[0]].touch(spot[1])
            self._hint(is_told, spot)

    @rule(pick=picks, is_told=told)
    def delete(self, pick: int, is_told: bool) -> None:
        if spot := self._pick(pick):
            self.disks[spot[0]].remove(spot[1])
            self.round.removed(spot)
            self._hint(is_told, spot)

    @rule(pick=picks, to=st.sampled_from(FOLDERS), into=st.sampled_from(("", "x/", "z/")))
    def move_directory(self, pick: int, to: str, into: str) -> None:
        """Rename a directory, or move it into another, or into another folder."""
        directories = self._directories()
        if not directories:
            return
        name, path = directories[pick % len(directories)]
        target = f"{into}{path.rpartition('/')[2]}"
        inside = name == to and f"{target}/".startswith(f"{path}/")
        if inside or (self.disks[to].root / target).exists() or not self._is_free((to, target)):
            return
        files = [
            spot
            for spot in self._files()
            if spot[0] == name and f"{spot[1]}/".startswith(f"{path}/")
        ]
        self.disks[name].rename(path, target, self.disks[to])
        for spot in files:
            self.round.moved(spot, (to, target + spot[1][len(path) :]))
        self.watcher.told[name].tell_tree(path)
        self.watcher.told[to].tell_tree(target)

    # Time, faults and ends.

    @rule(steps=st.integers(1, 6))
    def work(self, steps: int) -> None:
        """snoopsync works for some time in between."""
        self.round.was_observed = True
        for _ in range(steps):
            self.live.step()

    @rule()
    def answer_late(self) -> None:
        """A request arrives, and its answer comes only when it is quiet."""
        self.senders.keeps_back = True

    @rule(pick=picks, goes_first=st.booleans())
    def change_twice(self, pick: int, goes_first: bool) -> None:
        """A file changes again before the answer to its last request arrives."""
        spot = self._pick(pick)
        if spot is None:
            return
        self.answer_late()
        if goes_first:
            self.delete(pick, True)
        else:
            self.edit(pick, True)
        self.work(9)
        self.write(spot, True)
        self.work(3)
        self.senders.release()

    @rule(fault=st.sampled_from(FAULTS), after=st.integers(0, 4))
    def go_wrong(self, fault: Callable[[], Fault], after: int) -> None:
        """A request that is still to come fails, or its answer is lost."""
        self.world.remote.server.faults.extend([*[None] * after, fault()])

    @rule(pick=picks, what=st.sampled_from(("edit", "replace", "rename", "delete")), to=spots)
    def interfere(self, pick: int, what: str, to: Spot) -> None:
        """Something changes while an image is being sent."""

        def act() -> None:
            self.round.was_observed = True
            match what:
                case "edit":
                    self.edit(pick, True)
                case "replace":
                    self.replace(pick, True)
                case "rename":
                    self.rename(pick, to, True)
                case "delete":
                    self.delete(pick, True)

        self.interference = act

    @rule()
    def restart(self) -> None:
        """The process is killed between two steps."""
        self._crash()
        self._start()

    @rule(fuse=st.integers(0, 12))
    def crash_in_a_step(self, fuse: int) -> None:
        """The process is killed at one of its changes to the state file."""
        self.round.was_observed = True
        database = self.world.database
        assert isinstance(database, FusedDatabase)
        database.fuse = fuse
        try:
            for _ in range(6):
                self.live.step()
        except Crash:
            self._crash()
            self._start()
        else:
            database.fuse = None

    @rule()
    def lose_state(self) -> None:
        """The state file is lost; a resync that prunes makes up for it."""
        self._crash()
        self.world.lose_state()
        self.round.state_was_lost = True
        self.pruning = True
        self.world.resync(prune=True)
        self.pruning = False
        self._check_order()
        self._start()

    # Quiet.

    @rule()
    def come_to_rest(self) -> None:
        """It gets quiet under the eyes of the running service."""
        self._calm_down()
        self.live.settle()
        self.live.settle()
        self._check_order()

    @rule()
    def resync(self) -> None:
        """When it is quiet, a resync does what its rehearsal printed, and a second one nothing."""
        self._crash()
        dump, remote = self.world.dump(), self.world.remote.digests()
        plan = self.world.rehearse()
        assert (self.world.dump(), self.world.remote.digests()) == (dump, remote)
        done: list[Action] = []
        report = self.world.resync_telling(done.extend)
        assert lines(done) == plan.lines
        assert of_resync(report) == 0
        self._check_order()
        self.world.remote.forget_requests()
        self.world.resync()
        assert self.world.remote.changes() == []
        self._start()

    def _check_order(self) -> None:
        self.world.check_mirrored()
        ids = {
            (folder, path): image_id
            for rel_path, image_id in self.world.ids().items()
            for folder, _, path in [rel_path.partition("/")]
        }
        expected = self.round.expected()
        assert {spot: ids.get(spot) for spot in expected} == expected
        on_disk = self.world.on_disk()
        before = {(name, path): on_disk[f"{name}/{path}"] for name, path in ids}
        self.round = Round(ids, before, {spot: spot for spot in ids})
        self._note_contents()

    @invariant()
    def nothing_that_is_there_was_deleted(self) -> None:
        assert self.wrong_deletes == []
        assert self.failures == []

    @invariant()
    def the_images_of_others_are_untouched(self) -> None:
        contents = self.world.remote.server.contents
        for image_id, data in FOREIGN.items():
            assert contents[image_id] == hashlib.sha256(data).hexdigest()


COMMON = settings(
    deadline=None,
    database=None,
    stateful_step_count=30,
    # Without an explanation, which takes as long again.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Shrinking a failure takes minutes.
TestWholeMachine = pytest.mark.integration(pytest.mark.timeout(600)(WholeMachine.TestCase))
TestWholeMachine.settings = settings(COMMON, max_examples=40, derandomize=True)


class LongMachine(WholeMachine):
    """The same with random seeds, for longer. A failure prints the code that reproduces it."""


TestLongMachine = pytest.mark.slow(pytest.mark.timeout(7200)(LongMachine.TestCase))
TestLongMachine.settings = settings(COMMON, max_examples=1500, print_blob=True)
