"""Random worlds: whatever happened on the disk, and however sending went, the plans lead to a
collection that is equal to the disk, and to nothing that can't be taken back on the way.

The disk and the collection are models here; the state file between them is the real one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from snoopsync.core.assignment import assign_images
from snoopsync.core.model import (
    File,
    Fingerprint,
    Gone,
    Observation,
    RelPath,
    Unclear,
    image_ids,
    owns,
)
from snoopsync.core.planner import (
    Action,
    Add,
    Adopt,
    Delete,
    Forget,
    Found,
    PlanInput,
    Refresh,
    Remote,
    Rename,
    Update,
    plan,
)
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Outstanding, Sent
from snoopsync.state.reading import scratch

OWNER = "nas"
FOREIGN = {"other.1": b"one", "nasty.2": b"two", "nas": b"one"}
PLACES = [
    RelPath(folder, path)
    for folder, path in [
        ("photos", b"a.jpg"),
        ("photos", b"b.jpg"),
        ("photos", b"2024/a.jpg"),
        ("scans", b"a.jpg"),
        ("scans", b"\xff.jpg"),
    ]
]
NOWHERE = Path("/nowhere/state.sqlite3")

rel_paths = st.sampled_from(PLACES)
some_places = st.frozensets(rel_paths, max_size=3)
# Few, and two of one size: so that copies, and inodes used again with the same size, are common.
contents = st.sampled_from([b"one", b"two", b"three"])


@dataclass(frozen=True)
class Node:
    """A file, whatever its names."""

    inode: int
    content: bytes
    mtime: int
    ctime: int

    @property
    def file(self) -> File:
        return File(Fingerprint(self.inode, len(self.content), self.mtime, self.ctime))


@dataclass
class Disk:
    """Names and files. A freed inode is the next new file's, as on ext4."""

    names: dict[RelPath, int] = field(default_factory=dict)
    nodes: dict[int, Node] = field(default_factory=dict)
    clock: int = 0

    def at(self, rel_path: RelPath) -> Node | None:
        number = self.names.get(rel_path)
        return None if number is None else self.nodes[number]

    def observation(self, rel_path: RelPath) -> Observation:
        node = self.at(rel_path)
        return Gone() if node is None else node.file

    def files(self) -> dict[RelPath, bytes]:
        return {rel_path: self.nodes[number].content for rel_path, number in self.names.items()}

    def create(self, rel_path: RelPath, content: bytes, mtime: int | None = None) -> None:
        """A new file under this name; what was there before loses it."""
        self.clock += 1
        number = next(n for n in range(1, 100) if n not in self.nodes)
        self.nodes[number] = Node(number, content, mtime or self.clock, self.clock)
        self._name(rel_path, number)

    def write(self, rel_path: RelPath, content: bytes) -> None:
        """Write into the file that is there."""
        self.clock += 1
        number = self.names[rel_path]
        self.nodes[number] = Node(number, content, self.clock, self.clock)

    def move(self, source: RelPath, target: RelPath) -> None:
        number = self.names.pop(source)
        self._name(target, number)
        self._change(number)

    def swap(self, one: RelPath, other: RelPath) -> None:
        self.names[one], self.names[other] = self.names[other], self.names[one]
        self._change(self.names[one])
        self._change(self.names[other])

    def link(self, source: RelPath, target: RelPath) -> None:
        self._name(target, self.names[source])
        self._change(self.names[target])

    def remove(self, rel_path: RelPath) -> None:
        number = self.names.pop(rel_path)
        self._collect()
        if number in self.nodes:
            self._change(number)

    def _change(self, number: int) -> None:
        self.clock += 1
        self.nodes[number] = replace(self.nodes[number], ctime=self.clock)

    def _name(self, rel_path: RelPath, number: int) -> None:
        self.names[rel_path] = number
        self._collect()

    def _collect(self) -> None:
        named = set(self.names.values())
        self.nodes = {number: node for number, node in self.nodes.items() if number in named}


class SyncEngine:
    """The disk, the collection, and what carries plans out."""

    def __init__(self, database: Database) -> None:
        self.disk = Disk()
        self.remote = dict(FOREIGN)
        self.state = State(database)
        self.sent: list[str] = []
        self.matched: set[str] = set()

    def world(
        self,
        *,
        listing: bool,
        unclear: frozenset[RelPath] = frozenset(),
        vanishing: frozenset[RelPath] = frozenset(),
        unread: frozenset[RelPath] = frozenset(),
    ) -> PlanInput:
        """All there is to know, but for what is unclear, gone only just now, or not read."""
        observations = {rel_path: self.disk.observation(rel_path) for rel_path in PLACES}
        observations |= dict.fromkeys(unclear, Unclear("an I/O error"))
        records = {
            record.rel_path: record
            for folder in ("photos", "scans")
            for record in self.state.records_in(folder)
        }
        hashes = {
            rel_path: digest(content)
            for rel_path, content in self.disk.files().items()
            if rel_path not in unclear | unread
        }
        world = PlanInput(
            owner=OWNER,
            asked=frozenset(PLACES),
            observations=observations,
            records=records,
            taken=self.state.all_ids(),
            hashes=hashes,
            gone_for_good=frozenset(PLACES) - vanishing,
        )
        return replace(world, remote=self.listing(world)) if listing else world

    def listing(self, world: PlanInput) -> Remote:
        ours = {image_id for image_id in self.remote if owns(OWNER, image_id)}
        confirmed = {record.image_id for record in world.records.values() if record.sha256}
        unclaimed = ours - {record.image_id for record in world.records.values()}
        matches = {
            rel_path: [
                image_id
                for image_id in sorted(unclaimed)
                if digest(self.remote[image_id]) == sha256
            ]
            for rel_path, sha256 in world.hashes.items()
            if rel_path not in world.records
        }
        self.matched = {image_id for found in matches.values() for image_id in found}
        assigned = assign_images(OWNER, matches, unclaimed)
        found = {
            rel_path: Found(assigned.get(rel_path), world.hashes.get(rel_path))
            for rel_path, observation in world.observations.items()
            if isinstance(observation, File)
        }
        missing = frozenset(confirmed - ours)
        return Remote(frozenset(unclaimed), missing, found, frozenset(assigned.values()))

    def write_down(self, world: PlanInput) -> list[Action]:
        actions = plan(world).actions
        check(world, actions)
        self.state.intents.apply(actions, now=1.0)
        return actions

    def sync(self, world: PlanInput) -> list[Action]:
        """Plan and carry out, without trouble."""
        actions = self.write_down(world)
        condemned = condemned_by(actions)
        for item in self.outstanding():
            sent = self.send(item, condemned)
            if sent is not None:
                self.state.intents.confirm(sent, now=2.0)
        return actions

    def outstanding(self) -> list[Outstanding]:
        return self.state.intents.outstanding(100, 3.0, ["photos", "scans"])

    def send(self, item: Outstanding, condemned: frozenset[str]) -> Sent | None:
        """Send or remove one image; the collection's answer, if it was sent."""
        record = item.record
        node = self.disk.at(record.rel_path)
        if node is None:
            if record.image_id in condemned:
                self.remote.pop(record.image_id, None)
                self.state.intents.confirm_deleted(record.image_id, item.mark)
            return None
        if node.file.fingerprint != record.seen:
            return None
        self.remote[record.image_id] = node.content
        self.sent.append(record.image_id)
        return Sent(record.image_id, item.mark, digest(node.content), None)

    def ids(self) -> dict[RelPath, str]:
        return {row.rel_path: row.image_id for row in self.state.images()}

    def check_equal(self) -> None:
        """The collection is what is on the disk, one ID each, and others' images are as ever."""
        ours = {key: value for key, value in self.remote.items() if owns(OWNER, key)}
        ids = self.ids()
        assert {
            rel_path: ours.get(image_id) for rel_path, image_id in ids.items()
        } == self.disk.files()
        assert len(ours) == len(ids)
        foreign = {key: value for key, value in self.remote.items() if key not in ours}
        assert foreign == FOREIGN


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def condemned_by(actions: Sequence[Action]) -> frozenset[str]:
    return frozenset(action.image_id for action in actions if isinstance(action, Delete))


def check(world: PlanInput, actions: Sequence[Action]) -> None:
    """What holds of every plan."""
    known = {record.image_id for record in world.records.values()}
    new = [
        action.image_id
        for action in actions
        if action.image_id not in known and isinstance(action, Add | Update | Adopt)
    ]
    assert all(count == 1 for count in Counter(new).values()), "an ID was given twice"
    touched = Counter(action.rel_path for action in actions if not isinstance(action, Rename))
    assert all(count == 1 for count in touched.values()), "two things to do with one image"
    for action in actions:
        assert owns(OWNER, action.image_id)
        assert action.rel_path is not None
        observation = world.observations[action.rel_path]
        assert not isinstance(observation, Unclear)
        match action:
            case Delete(rel_path) | Forget(rel_path):
                assert isinstance(observation, Gone)
                assert rel_path in world.gone_for_good
            case Rename(_, _, file, source):
                assert observation == file
                assert not isinstance(world.observations[source], Unclear)
            case Add() | Update() | Adopt() | Refresh():
                assert observation == action.file
    order = [isinstance(action, Delete | Forget) for action in actions]
    assert order == sorted(order), "deletions come last"


class AnyHistory(RuleBasedStateMachine):
    """Whatever is done to the disk, and however much of each plan is carried out."""

    @initialize()
    def begin(self) -> None:
        self.mirror = SyncEngine(scratch(NOWHERE))
        self.disk = self.mirror.disk
        self.late: list[Sent] = []
        self.has_state = True

    @rule(rel_path=rel_paths, content=contents)
    def create(self, rel_path: RelPath, content: bytes) -> None:
        self.disk.create(rel_path, content)

    @rule(rel_path=rel_paths, content=contents)
    def write(self, rel_path: RelPath, content: bytes) -> None:
        with suppress(KeyError):
            self.disk.write(rel_path, content)

    @rule(source=rel_paths, goal=rel_paths)
    def move(self, source: RelPath, goal: RelPath) -> None:
        if source in self.disk.names and self.disk.names[source] != self.disk.names.get(goal):
            self.disk.move(source, goal)

    @rule(one=rel_paths, other=rel_paths)
    def swap(self, one: RelPath, other: RelPath) -> None:
        if {one, other} <= set(self.disk.names):
            self.disk.swap(one, other)

    @rule(source=rel_paths, goal=rel_paths, keeps_time=st.booleans())
    def copy(self, source: RelPath, goal: RelPath, keeps_time: bool) -> None:
        node = self.disk.at(source)
        if node is not None and source != goal:
            self.disk.create(goal, node.content, node.mtime if keeps_time else None)

    @rule(source=rel_paths, goal=rel_paths)
    def link(self, source: RelPath, goal: RelPath) -> None:
        if source in self.disk.names:
            self.disk.link(source, goal)

    @rule(rel_path=rel_paths)
    def remove(self, rel_path: RelPath) -> None:
        with suppress(KeyError):
            self.disk.remove(rel_path)

    @precondition(lambda self: self.has_state)
    @rule(
        listing=st.booleans(),
        unclear=some_places,
        vanishing=some_places,
        unread=some_places,
        answers=st.lists(st.sampled_from(["ok", "lost", "late", "never sent"]), max_size=8),
    )
    def sync_with_trouble(
        self,
        listing: bool,
        unclear: frozenset[RelPath],
        vanishing: frozenset[RelPath],
        unread: frozenset[RelPath],
        answers: list[str],
    ) -> None:
        world = self.mirror.world(
            listing=listing, unclear=unclear, vanishing=vanishing, unread=unread
        )
        condemned = condemned_by(self.mirror.write_down(world))
        late, self.late = self.late, []
        for sent in late:
            self.mirror.state.intents.confirm(sent, now=2.0)
        for item, answer in zip(self.mirror.outstanding(), answers, strict=False):
            if answer == "never sent":
                continue
            outcome = self.mirror.send(item, condemned)
            if outcome is not None and answer == "ok":
                self.mirror.state.intents.confirm(outcome, now=2.0)
            elif outcome is not None and answer == "late":
                self.late.append(outcome)

    @rule(old=rel_paths, new=rel_paths, content=contents)
    def use_an_inode_again(self, old: RelPath, new: RelPath, content: bytes) -> None:
        """With the time of the file that had it before."""
        node = self.disk.at(old)
        if node is not None and new not in self.disk.names:
            self.disk.remove(old)
            self.disk.create(new, content, node.mtime)

    @precondition(lambda self: self.has_state)
    @rule(rel_path=rel_paths, before=contents, after=contents)
    def edit_during_the_upload(self, rel_path: RelPath, before: bytes, after: bytes) -> None:
        """The answer comes when the edit has been planned for."""
        self.disk.create(rel_path, before)
        self.mirror.write_down(self.mirror.world(listing=False))
        sent = [self.mirror.send(item, frozenset()) for item in self.mirror.outstanding()]
        self.disk.write(rel_path, after)
        self.mirror.write_down(self.mirror.world(listing=False))
        for answer in sent:
            if answer is not None:
                self.mirror.state.intents.confirm(answer, now=2.0)

    @rule(rel_path=rel_paths)
    def lose_an_image(self, rel_path: RelPath) -> None:
        self.mirror.remote.pop(self.mirror.ids().get(rel_path, ""), None)

    @rule()
    def lose_the_state(self) -> None:
        self.mirror.state = State(scratch(NOWHERE))
        self.late.clear()
        self.has_state = False

    @rule()
    def come_to_rest(self) -> None:
        for sent in self.late:
            self.mirror.state.intents.confirm(sent, now=2.0)
        self.late.clear()
        if not self.has_state:
            self.drop_orphans()
        self.has_state = True
        self.mirror.sync(self.mirror.world(listing=True))
        self.drop_orphans()
        self.mirror.check_equal()
        assert plan(self.mirror.world(listing=True)).actions == []
        assert plan(self.mirror.world(listing=False)).actions == []

    def drop_orphans(self) -> None:
        """Without its state, what was deleted meanwhile can't be known: pruning is for that."""
        world = self.mirror.world(listing=True)
        for image_id in world.remote.unclaimed - self.mirror.matched if world.remote else ():
            del self.mirror.remote[image_id]

    def teardown(self) -> None:
        if hasattr(self, "mirror"):
            self.come_to_rest()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

trees = st.dictionaries(rel_paths, contents, min_size=1)


@settings(deadline=None, max_examples=100)
@given(trees, st.permutations(PLACES), st.booleans())
def test_renames_send_nothing_and_keep_the_ids(
    tree: dict[RelPath, bytes], order: list[RelPath], listing: bool
) -> None:
    """Any renames, in rings and chains too, as long as nothing is overwritten."""
    mirror = synced(tree)
    before = {mirror.disk.names[rel_path]: image_id for rel_path, image_id in mirror.ids().items()}
    target = dict(zip(PLACES, order, strict=True))
    mirror.disk.names = {target[rel_path]: node for rel_path, node in mirror.disk.names.items()}
    for number, node in mirror.disk.nodes.items():
        mirror.disk.nodes[number] = replace(node, ctime=node.ctime + 1000)
    mirror.sent.clear()

    actions = mirror.sync(mirror.world(listing=listing))

    assert mirror.sent == []
    assert {type(action) for action in actions} <= {Rename, Refresh}
    assert {
        mirror.disk.names[rel_path]: image_id for rel_path, image_id in mirror.ids().items()
    } == before
    mirror.check_equal()


@settings(deadline=None, max_examples=100)
@given(trees, st.permutations(PLACES))
def test_a_lost_state_file_is_rebuilt_and_nothing_is_sent(
    tree: dict[RelPath, bytes], order: list[RelPath]
) -> None:
    """Also of pictures that were renamed before it was lost. A place's own image comes first."""
    mirror = synced(tree)
    target = dict(zip(PLACES, order, strict=True))
    mirror.disk.names = {target[rel_path]: node for rel_path, node in mirror.disk.names.items()}
    mirror.sync(mirror.world(listing=False))
    remote = dict(mirror.remote)
    mirror.sent.clear()
    mirror.state = State(scratch(NOWHERE))

    actions = mirror.sync(mirror.world(listing=True))

    assert {type(action) for action in actions} == {Adopt}
    assert mirror.sent == []
    assert mirror.remote == remote
    mirror.check_equal()


@settings(deadline=None, max_examples=50)
@given(trees)
def test_with_a_lost_state_file_every_path_gets_its_own_image_back(
    tree: dict[RelPath, bytes],
) -> None:
    """However many copies there are."""
    mirror = synced(tree)
    before = mirror.ids()
    mirror.state = State(scratch(NOWHERE))
    mirror.sync(mirror.world(listing=True))
    assert mirror.ids() == before
    assert before == {rel_path: next(image_ids(OWNER, rel_path)) for rel_path in tree}


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(trees, trees)
def test_plans_are_applied_to_a_state_file_on_the_disk(
    before: dict[RelPath, bytes], after: dict[RelPath, bytes]
) -> None:
    """What was planned is there after the file was closed and opened again."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "state.sqlite3"
        database = Database(path)
        mirror = synced(before, database)
        for rel_path in before.keys() - after.keys():
            mirror.disk.remove(rel_path)
        for rel_path, content in after.items():
            mirror.disk.create(rel_path, content)
        actions = mirror.write_down(mirror.world(listing=False))
        database.close()

        database = Database(path)
        mirror.state = State(database)
        condemned = condemned_by(actions)
        for item in mirror.outstanding():
            sent = mirror.send(item, condemned)
            if sent is not None:
                mirror.state.intents.confirm(sent, now=2.0)
        mirror.check_equal()
        assert plan(mirror.world(listing=True)).actions == []
        database.close()


def synced(tree: dict[RelPath, bytes], database: Database | None = None) -> SyncEngine:
    """A mirror that holds these files."""
    mirror = SyncEngine(database or scratch(NOWHERE))
    for rel_path, content in tree.items():
        mirror.disk.create(rel_path, content)
    mirror.sync(mirror.world(listing=False))
    mirror.check_equal()
    return mirror


@pytest.mark.parametrize("listing", [False, True])
def test_a_plan_does_not_depend_on_the_order_of_its_input(listing: bool) -> None:
    mirror = synced(dict.fromkeys(PLACES[:4], b"one"))
    mirror.disk.swap(PLACES[0], PLACES[1])
    mirror.disk.remove(PLACES[2])
    mirror.disk.create(PLACES[4], b"two")
    world = mirror.world(listing=listing)
    backwards = replace(
        world,
        observations=dict(reversed(list(world.observations.items()))),
        records=dict(reversed(list(world.records.items()))),
        hashes=dict(reversed(list(world.hashes.items()))),
    )
    assert plan(world) == plan(backwards)
