"""kill -9 at any moment: afterwards nothing is lost, doubled, orphaned or alerted twice.

A story is played on real folders while snoopsync, in a process of its own, mirrors them into a real
HTTP server. The process is killed at its first edge call, in the next trial at its second, and so
on until the story ends without a kill. Then another process catches up, and everything is compared
with the images on the server.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from snoopsync.config.settings import HoldPolicy
from snoopsync.core.duplicates import Pair
from snoopsync.core.groups import components
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.pairs import PairState
from tests.support.collection_server import Seen
from tests.support.crashing import FOLDERS, Ended, Killed, Life, LifeFailed, Nursery, alerts_path
from tests.support.story import FOREIGN, EverydayLife, Loss, Story
from tests.support.world import DiskFolder, ServedWorld, World, fake_picture

pytestmark = pytest.mark.integration

#: What the alerter does between telling of a pair and remembering that: killed there, it tells
#: again.
_MARKING = "before COMMIT"

#: Seconds that pass while nothing runs.
_DOWN_SECONDS = 10.0

#: About as many edge calls as a resync has.
_RESYNC_EDGES = 150

#: The trials of every run: a number of edge calls out of all, chosen by this seed.
SEED = 1
TRIALS = 500
PARTS = 5
AT_A_TIME = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """When it is killed, and what comes then. ``events``: how much of the story happens while it
    is down. ``goes_on``: the next one is the service, to the story's end, and no resync. ``again``:
    the edge calls at which the next ones are killed, too."""

    kill_at: int
    events: int = 0
    goes_on: bool = False
    again: tuple[int, ...] = ()


@dataclass
class Stage:
    """One world, and the lives that are spent in it."""

    nursery: Nursery
    world: World
    story: Story
    hold: HoldPolicy
    kills: list[str] = field(default_factory=list)
    ids: dict[int, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    states_lost: int = 0
    now: float = 1_000_000_000.0

    def live(self, kill_at: int | None = None, *, in_story: bool) -> Killed | Ended:
        """Run one process until it ends or is killed."""
        world = self.world
        endpoint = world.remote.server.endpoint
        life = Life(world.base, endpoint, self.now, kill_at, in_story, self.hold)
        fate = self.nursery.live(life, self.story.go_on)
        self.now += _DOWN_SECONDS
        if isinstance(fate, Killed):
            self.kills.append(fate.edge)
        self._remember_ids()
        return fate

    def watch(self, seen: Seen) -> None:
        """On the server's thread: is this request right at this moment?"""
        if seen.method != "GET" and seen.image_id in FOREIGN:
            self.wrong.append(f"{seen.method} {seen.image_id}, which is not ours")
        if seen.method == "DELETE":
            rel_paths = {image_id: rel_path for rel_path, image_id in self.world.ids().items()}
            rel_path = rel_paths.get(seen.image_id or "")
            if rel_path in self.world.on_disk():
                self.wrong.append(f"deleted {rel_path}, which is there")

    def _remember_ids(self) -> None:
        """The confirmed ID of each picture. Read from a copy: opening a state file changes it, and
        the next process must find it as the last one left it."""
        copy = self.world.base / "copy"
        if not self.world.state_path.exists():
            return
        shutil.copytree(self.world.state_path.parent, copy)
        with closing(Database(copy / self.world.state_path.name)) as database:
            state = State(database)
            records = [record for name in FOLDERS for record in state.records_in(name)]
        shutil.rmtree(copy)
        for record in records:
            if record.sha256:
                picture = self.story.seen[str(record.rel_path), record.sha256.hex()]
                assert self.ids.setdefault(picture, record.image_id) == record.image_id

    def check(self) -> None:
        """Check that everything is mirrored correctly."""
        assert self.wrong == []
        self.world.check_mirrored()
        self._check_ids()
        contents = self.world.remote.server.contents
        for image_id, data in FOREIGN.items():
            assert contents[image_id] == hashlib.sha256(data).hexdigest()
        assert set(contents) == set(FOREIGN) | set(self.world.ids().values())
        self._check_pairs()
        assert not list(self.world.base.rglob("*damaged*"))

    def _check_ids(self) -> None:
        ids = self.world.ids()
        now = {picture: ids["/".join(spot)] for spot, picture in self.story.pictures.items()}
        kept = {picture: self.ids[picture] for picture in now if picture in self.ids}
        assert {picture: now[picture] for picture in kept} == kept

    def _check_pairs(self) -> None:
        contents = self.world.remote.server.contents
        alike = [
            frozenset(group)
            for content in set(contents.values())
            if len(group := [each for each in contents if contents[each] == content]) > 1
            and not set(group) <= set(FOREIGN)
        ]
        known = self.world.duplicates_known()
        numbers: dict[str, int] = {}
        links = [
            [numbers.setdefault(side.image_id, len(numbers)) for side in (pair.a, pair.b)]
            for pair in known
            if pair.state is PairState.OPEN
        ]
        names = {number: image_id for image_id, number in numbers.items()}
        groups = components((one, other) for one, other in links)
        assert set(alike) == {frozenset(names[each] for each in group) for group in groups}
        path = alerts_path(self.world.base)
        text = path.read_text() if path.exists() else ""
        alerts = [json.loads(line) for line in text.splitlines()]
        told = Counter(Pair.of(alert["image_id"], alert["match_id"]) for alert in alerts)
        named = {alert["image_id"] for alert in alerts} | {alert["match_id"] for alert in alerts}
        assert all(group & named for group in alike)
        most = 1 + self.states_lost + sum(edge.startswith(_MARKING) for edge in self.kills)
        assert max(told.values()) <= most, (told, most)


def play(nursery: Nursery, base: Path, trial: Trial) -> Stage:
    """Run the trial, and check the result. A failure names the trial."""
    with staged(nursery, base) as stage:
        try:
            stage.live(trial.kill_at, in_story=True)
            for _ in range(trial.events):
                stage.story.go_on()
            for kill_at in trial.again:
                stage.live(kill_at, in_story=trial.goes_on)
            fate = stage.live(in_story=trial.goes_on)
            assert isinstance(fate, Ended)
            assert fate.left == 0
            stage.check()
        except (AssertionError, LifeFailed) as error:
            error.add_note(f"{trial}, killed at: {stage.kills}")
            raise
    return stage


@contextmanager
def staged(
    nursery: Nursery, base: Path, tell: type[Story] = EverydayLife, hold_over: int = 50
) -> Iterator[Stage]:
    """A world, before the story begins."""
    base.mkdir()
    with ServedWorld(base) as world:
        world.add_folder("scans")
        for image_id, data in FOREIGN.items():
            world.remote.add(image_id, data)
        story = tell({name: DiskFolder(base / name) for name in FOLDERS})
        stage = Stage(nursery, world, story, HoldPolicy(hold_over, 0))
        world.remote.server.fault_for = stage.watch
        yield stage
    shutil.rmtree(base)


def count_edges(nursery: Nursery, base: Path) -> int:
    """How many edge calls there are in the whole story."""
    with staged(nursery, base) as stage:
        fate = stage.live(in_story=True)
        stage.check()
    assert isinstance(fate, Ended)
    return fate.edges


def trials(points: Sequence[int], edges: int, dice: random.Random) -> Iterator[Trial]:
    """A trial for each of these points: what comes after the kill is left to the dice."""
    for point in points:
        goes_on = dice.random() < 0.4
        later = edges - point if goes_on else _RESYNC_EDGES
        again = tuple(dice.randint(1, max(1, later)) for _ in range(dice.choice((0, 0, 1, 2))))
        yield Trial(point, dice.choice((0, 0, 1, 2)), goes_on, again)


def say(what: str) -> None:
    """How to repeat the trial."""
    print(what)  # noqa: T201 - pytest keeps it, and shows it with a failure


@pytest.fixture(scope="module")
def nurseries() -> Iterator[list[Nursery]]:
    """One for each trial that is under way at a time: half of each is waiting for the disk."""
    with ExitStack() as stack:
        yield [stack.enter_context(Nursery()) for _ in range(AT_A_TIME)]


@pytest.fixture
def nursery(nurseries: list[Nursery]) -> Nursery:
    return nurseries[0]


def play_all(nurseries: list[Nursery], base: Path, trials: Sequence[Trial]) -> list[Stage]:
    """Run the trials, a share of them in each nursery."""

    def play_share(number: int) -> list[Stage]:
        share = trials[number :: len(nurseries)]
        return [play(nurseries[number], base / f"trial {number}", trial) for trial in share]

    with ThreadPoolExecutor(len(nurseries)) as pool:
        return [stage for share in pool.map(play_share, range(len(nurseries))) for stage in share]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_any_call_loses_nothing(
    nurseries: list[Nursery], tmp_path: Path, part: int
) -> None:
    edges = count_edges(nurseries[0], tmp_path / "uninterrupted")
    points = random.Random(SEED).sample(range(1, edges + 1), TRIALS)[part::PARTS]
    dice = random.Random(SEED + part)
    stages = play_all(nurseries, tmp_path, list(trials(points, edges, dice)))
    kills = sum(len(stage.kills) for stage in stages)
    say(f"{kills} kills, {len(stages)} first ones at {edges} edge calls, seed {SEED}, part {part}")
    assert kills >= len(stages)


def play_loss(nursery: Nursery, base: Path, kill_at: int) -> Stage:
    """More pictures go than may be deleted without approval, and snoopsync is killed meanwhile:
    cleared deletions still count, and held ones stay held."""
    with staged(nursery, base, Loss, hold_over=3) as stage:
        stage.live(kill_at, in_story=True)
        stage.live(in_story=True)
        deleted = {seen.image_id for seen in stage.world.remote.deletes()}
        assert len(deleted) <= 3
        assert stage.world.approve() >= 6 - len(deleted)
        stage.live(in_story=False)
        stage.check()
    return stage


def play_adoption(nursery: Nursery, base: Path, kill_at: int) -> Stage:
    """The state file is lost, and what rebuilds it is killed: each picture gets its own image back,
    and none is sent."""
    with staged(nursery, base) as stage:
        stage.live(in_story=True)
        stage.world.lose_state()
        stage.states_lost += 1
        stage.world.remote.forget_requests()
        stage.live(kill_at, in_story=False)
        fate = stage.live(in_story=False)
        assert isinstance(fate, Ended)
        assert fate.left == 0
        assert stage.world.remote.changes() == []
        stage.check()
    return stage


@pytest.mark.parametrize("kill_at", range(2, 400, 40))
def test_too_many_deletions_wait(nursery: Nursery, tmp_path: Path, kill_at: int) -> None:
    play_loss(nursery, tmp_path / "trial", kill_at)


@pytest.mark.parametrize("kill_at", range(2, 180, 20))
def test_the_state_file_is_rebuilt_after_each_damage(
    nursery: Nursery, tmp_path: Path, kill_at: int
) -> None:
    play_adoption(nursery, tmp_path / "trial", kill_at)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_kill_at_each_edge_call_loses_nothing(
    nursery: Nursery, tmp_path: Path, goes_on: bool
) -> None:
    for kill_at in itertools.count(1):
        if not play(nursery, tmp_path / "trial", Trial(kill_at, goes_on=goes_on)).kills:
            break


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("attempt", [play_loss, play_adoption])
def test_a_kill_at_each_edge_call_of_a_command_loses_nothing(
    nursery: Nursery, tmp_path: Path, attempt: Callable[[Nursery, Path, int], Stage]
) -> None:
    for kill_at in itertools.count(1):
        if not attempt(nursery, tmp_path / "trial", kill_at).kills:
            break


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_kills_at_edge_calls_lose_nothing(nursery: Nursery, tmp_path: Path) -> None:
    edges = count_edges(nursery, tmp_path / "uninterrupted")
    seed = random.randrange(1_000_000)
    say(f"{edges} edge calls, seed {seed}")
    for trial in trials(range(1, edges + 1), edges, random.Random(seed)):
        play(nursery, tmp_path / "trial", trial)


def test_a_deletion_that_a_kill_interrupted_is_counted_once(world: World) -> None:
    world.hold = HoldPolicy(count=1, percent=0)
    for number in range(4):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    world.resync()
    world.disk.remove("0.jpg")
    with world.running_until_it_crashes() as live:
        live.until(lambda: bool(world.remote.deletes()))
    world.disk.remove("1.jpg")
    world.resync()
    assert len(world.remote.deletes()) == 1
    assert world.held() == 2, "the first one waits too: its answer was never recorded"
