"""The planner's rules, one example each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from snoopsync.core.assignment import assign_images
from snoopsync.core.model import (
    File,
    Fingerprint,
    Gone,
    Observation,
    Record,
    RelPath,
    Unclear,
    image_ids,
)
from snoopsync.core.planner import (
    Action,
    Add,
    Adopt,
    Cause,
    Delete,
    Forget,
    Found,
    Plan,
    PlanInput,
    Refresh,
    Remote,
    Rename,
    Update,
    plan,
    prune,
)

OWNER = "nas"
ALBUM = b"one"  # bytes of a picture
CHURCH = b"two"  # another, of the same size


def at(path: str, folder: str = "photos") -> RelPath:
    return RelPath(folder, path.encode())


def own_id(rel_path: RelPath, number: int = 0) -> str:
    ids = image_ids(OWNER, rel_path)
    return [next(ids) for _ in range(number + 1)][number]


def a_file(inode: int, content: bytes, *, mtime: int = 1, ctime: int = 1) -> File:
    return File(Fingerprint(inode, len(content), mtime, ctime))


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


@dataclass
class Scene:
    """A world in the making."""

    observations: dict[RelPath, Observation] = field(default_factory=dict)
    hashes: dict[RelPath, bytes] = field(default_factory=dict)
    records: dict[RelPath, Record] = field(default_factory=dict)
    not_for_long: set[RelPath] = field(default_factory=set)
    remote: Remote | None = None

    def known(self, rel_path: RelPath, inode: int, content: bytes = ALBUM) -> Record:
        """An image that is in sync: its file is there, and the collection has confirmed it."""
        self.there(rel_path, inode, content)
        seen = a_file(inode, content).fingerprint
        record = Record(own_id(rel_path), rel_path, seen, sha256=sha256(content))
        self.records[rel_path] = record
        return record

    def change(self, record: Record, **changes: object) -> Record:
        changed = replace(record, **changes)  # type: ignore[arg-type]  # any of its fields
        self.records[record.rel_path] = changed
        return changed

    def there(self, rel_path: RelPath, inode: int, content: bytes = ALBUM, **times: int) -> File:
        """A file is there now. One that was renamed has another ctime."""
        file = a_file(inode, content, **times)
        self.observations[rel_path] = file
        self.hashes[rel_path] = sha256(content)
        return file

    def gone(self, rel_path: RelPath, *, for_good: bool = True) -> None:
        self.observations[rel_path] = Gone()
        self.hashes.pop(rel_path, None)
        if not for_good:
            self.not_for_long.add(rel_path)

    def unclear(self, rel_path: RelPath) -> None:
        self.observations[rel_path] = Unclear("an I/O error")
        self.hashes.pop(rel_path, None)

    def plan(self) -> list[Action]:
        taken = {record.image_id for record in self.records.values()}
        return plan(
            PlanInput(
                owner=OWNER,
                asked=frozenset(self.observations),
                observations=self.observations,
                records=self.records,
                taken=taken,
                hashes=self.hashes,
                gone_for_good=frozenset(self.observations) - self.not_for_long,
                remote=self.remote,
            )
        ).actions

    def search(self, unclaimed: Sequence[str], matches: Mapping[RelPath, list[str]]) -> None:
        """The listing has these unclaimed images. A search for each file found these of them."""
        assigned = assign_images(OWNER, matches, unclaimed)
        found = {
            rel_path: Found(assigned.get(rel_path), sha256)
            for rel_path, sha256 in self.hashes.items()
        }
        reserved = frozenset(assigned.values())
        self.remote = Remote(frozenset(unclaimed), found=found, reserved=reserved)


@pytest.fixture
def scene() -> Scene:
    return Scene()


A, B, C, NEW = at("a.jpg"), at("b.jpg"), at("c.jpg"), at("new.jpg")


# Rule 1: a record stays at its place while the file there is the same one.


def test_an_unchanged_file_needs_nothing(scene: Scene) -> None:
    scene.known(A, 1)
    assert scene.plan() == []


def test_a_file_that_was_written_to_is_an_update(scene: Scene) -> None:
    record = scene.known(A, 1, ALBUM)
    file = scene.there(A, 1, CHURCH, mtime=2, ctime=2)
    assert scene.plan() == [Update(A, record.image_id, file)]


def test_a_file_that_was_only_touched_is_not_sent(scene: Scene) -> None:
    record = scene.known(A, 1)
    file = scene.there(A, 1, mtime=2, ctime=2)
    assert scene.plan() == [Refresh(A, record.image_id, file)]


def test_a_changed_file_of_unknown_content_is_sent(scene: Scene) -> None:
    record = scene.known(A, 1)
    file = scene.there(A, 1, mtime=2, ctime=2)
    scene.hashes.clear()
    assert scene.plan() == [Update(A, record.image_id, file)]


@pytest.mark.parametrize("confirmed", [None, sha256(ALBUM)])
def test_a_planned_change_is_not_planned_again(scene: Scene, confirmed: bytes | None) -> None:
    """It may be on its way: planned once more, it would be sent once more."""
    scene.change(scene.known(A, 1), sha256=confirmed, dirty=True)
    assert scene.plan() == []


def test_an_image_that_was_never_confirmed_is_added_when_it_changes(scene: Scene) -> None:
    record = scene.change(scene.known(A, 1), sha256=None, dirty=True)
    file = scene.there(A, 1, CHURCH, ctime=2)
    assert scene.plan() == [Add(A, record.image_id, file)]


def test_a_dirty_image_is_sent_whatever_its_stored_content(scene: Scene) -> None:
    """An upload whose answer was lost may have replaced the bytes that were confirmed."""
    record = scene.change(scene.known(A, 1), dirty=True)
    file = scene.there(A, 1, ctime=2)
    assert scene.plan() == [Update(A, record.image_id, file)]


def test_a_held_deletion_is_cancelled_when_the_file_is_back(scene: Scene) -> None:
    record = scene.change(scene.known(A, 1), marked_for_deletion=True)
    assert scene.plan() == [Refresh(A, record.image_id, a_file(1, ALBUM))]


def test_a_held_deletion_is_cancelled_when_the_file_is_back_with_other_bytes(scene: Scene) -> None:
    record = scene.change(scene.known(A, 1), marked_for_deletion=True)
    file = scene.there(A, 2, CHURCH)
    assert scene.plan() == [Update(A, record.image_id, file)]


# Rule 2: a record whose file has left moves to where it is found.


def test_a_rename_keeps_the_id_and_sends_nothing(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.gone(A)
    file = scene.there(NEW, 1, ctime=2)
    assert scene.plan() == [Rename(NEW, record.image_id, file, A)]


def test_a_rename_is_found_before_the_old_path_is_gone_for_good(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.gone(A, for_good=False)
    file = scene.there(NEW, 1, ctime=2)
    assert scene.plan() == [Rename(NEW, record.image_id, file, A)]


def test_a_move_to_another_folder_is_a_rename(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.gone(A)
    target = at("2024/a.jpg", "scans")
    file = scene.there(target, 1, ctime=2)
    assert scene.plan() == [Rename(target, record.image_id, file, A)]


def test_a_move_to_another_disk_is_found_by_content(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.gone(A)
    file = scene.there(at("a.jpg", "scans"), 77, mtime=5, ctime=9)
    assert scene.plan() == [Rename(at("a.jpg", "scans"), record.image_id, file, A)]


def test_two_files_that_swap_their_names_swap_their_records(scene: Scene) -> None:
    first, second = scene.known(A, 1, ALBUM), scene.known(B, 2, CHURCH)
    file_a, file_b = scene.there(A, 2, CHURCH, ctime=3), scene.there(B, 1, ALBUM, ctime=3)
    assert scene.plan() == [
        Rename(A, second.image_id, file_a, B),
        Rename(B, first.image_id, file_b, A),
    ]


def test_a_cycle_of_three_is_three_renames(scene: Scene) -> None:
    records = [scene.known(rel_path, inode) for inode, rel_path in enumerate((A, B, C))]
    for inode, rel_path in enumerate((B, C, A)):
        scene.there(rel_path, inode, ctime=2)
    assert {(action.image_id, action.rel_path) for action in scene.plan()} == {
        (records[0].image_id, B),
        (records[1].image_id, C),
        (records[2].image_id, A),
    }
    assert {type(action) for action in scene.plan()} == {Rename}


def test_a_chain_of_renames_sends_nothing(scene: Scene) -> None:
    first, second = scene.known(A, 1, ALBUM), scene.known(B, 2, CHURCH)
    scene.gone(A)
    file_b, file_c = scene.there(B, 1, ALBUM, ctime=2), scene.there(C, 2, CHURCH, ctime=2)
    assert scene.plan() == [
        Rename(B, first.image_id, file_b, A),
        Rename(C, second.image_id, file_c, B),
    ]


def test_a_backup_save_moves_the_picture_and_gives_the_new_one_an_id_of_its_own(
    scene: Scene,
) -> None:
    """``mv a a.orig``, then a new ``a``: its own first ID is still the old picture's."""
    record = scene.known(A, 1, ALBUM)
    backup = at("a.jpg.orig")
    old, new = scene.there(backup, 1, ALBUM, ctime=2), scene.there(A, 2, CHURCH, ctime=2)
    assert scene.plan() == [Rename(backup, record.image_id, old, A), Add(A, own_id(A, 1), new)]


def test_a_rename_over_a_known_file_updates_that_one(scene: Scene) -> None:
    """No record moves onto one that has no new place: each deletion has a file to prove gone."""
    first, second = scene.known(A, 1, ALBUM), scene.known(B, 2, CHURCH)
    scene.gone(A)
    file = scene.there(B, 1, ALBUM, ctime=2)
    assert scene.plan() == [Update(B, second.image_id, file), Delete(A, first.image_id)]


def test_a_chain_that_ends_on_a_known_file_stays_where_it_is(scene: Scene) -> None:
    """c to b and b to a, where a's picture is lost: no one can move, so all are updates."""
    records = [
        scene.known(rel_path, inode, content)
        for inode, (rel_path, content) in enumerate([(A, b"xxx"), (B, ALBUM), (C, CHURCH)])
    ]
    file_a, file_b = scene.there(A, 1, ALBUM, ctime=2), scene.there(B, 2, CHURCH, ctime=2)
    scene.gone(C)
    assert scene.plan() == [
        Update(A, records[0].image_id, file_a),
        Update(B, records[1].image_id, file_b),
        Delete(C, records[2].image_id),
    ]


def test_an_inode_that_was_used_again_is_not_a_rename(scene: Scene) -> None:
    """Same inode, same size, same mtime: only the content tells."""
    record = scene.known(A, 1, ALBUM)
    scene.gone(A)
    file = scene.there(NEW, 1, CHURCH, ctime=2)
    assert scene.plan() == [Add(NEW, own_id(NEW), file), Delete(A, record.image_id)]


def test_an_inode_that_was_used_again_proves_nothing_without_the_content(scene: Scene) -> None:
    record = scene.known(A, 1, ALBUM)
    scene.gone(A)
    file = scene.there(NEW, 1, ALBUM, ctime=2)
    scene.hashes.clear()
    assert scene.plan() == [Add(NEW, own_id(NEW), file), Delete(A, record.image_id)]


def test_a_renamed_file_that_was_also_written_to_is_another_picture(scene: Scene) -> None:
    record = scene.known(A, 1, ALBUM)
    scene.gone(A)
    file = scene.there(NEW, 1, CHURCH, mtime=2, ctime=2)
    assert scene.plan() == [Add(NEW, own_id(NEW), file), Delete(A, record.image_id)]


@pytest.mark.parametrize("confirmed", [None, sha256(ALBUM)])
def test_an_image_that_is_renamed_before_it_is_sent_keeps_its_id(
    scene: Scene, confirmed: bytes | None
) -> None:
    """It stays dirty, and is sent from where it is when its turn comes."""
    record = scene.change(scene.known(A, 1), sha256=confirmed, dirty=True)
    scene.gone(A)
    file = scene.there(NEW, 1, CHURCH, ctime=2)
    assert scene.plan() == [Rename(NEW, record.image_id, file, A)]


def test_a_dirty_image_is_not_found_by_the_content_it_had(scene: Scene) -> None:
    record = scene.change(scene.known(A, 1), dirty=True)
    scene.gone(A)
    file = scene.there(NEW, 2)
    assert scene.plan() == [Add(NEW, own_id(NEW), file), Delete(A, record.image_id)]


def test_a_held_image_that_is_found_elsewhere_is_renamed(scene: Scene) -> None:
    record = scene.change(scene.known(A, 1), marked_for_deletion=True)
    scene.gone(A)
    file = scene.there(NEW, 1, ctime=2)
    assert scene.plan() == [Rename(NEW, record.image_id, file, A)]


def test_of_two_equal_pictures_the_one_with_the_same_name_moves(scene: Scene) -> None:
    first = scene.known(at("2023/a.jpg"), 1)
    second = scene.known(at("2023/b.jpg"), 2)
    for rel_path in (first.rel_path, second.rel_path):
        scene.gone(rel_path)
    file = scene.there(at("b.jpg", "scans"), 77)
    assert scene.plan() == [
        Rename(at("b.jpg", "scans"), second.image_id, file, second.rel_path),
        Delete(first.rel_path, first.image_id),
    ]


def test_a_path_that_one_record_has_moved_to_is_taken(scene: Scene) -> None:
    """By its file; that another picture had the same bytes does not matter then."""
    first, second = scene.known(A, 1), scene.known(B, 2)
    scene.gone(A)
    scene.gone(B)
    file = scene.there(NEW, 2, ctime=2)
    assert scene.plan() == [Rename(NEW, second.image_id, file, B), Delete(A, first.image_id)]


# Copies.


def test_a_copy_is_added_under_an_id_of_its_own(scene: Scene) -> None:
    scene.known(A, 1)
    file = scene.there(NEW, 2)
    assert scene.plan() == [Add(NEW, own_id(NEW), file)]


def test_a_hard_link_is_added_under_an_id_of_its_own(scene: Scene) -> None:
    record = scene.known(A, 1)
    file = scene.there(A, 1, ctime=2)
    scene.there(NEW, 1, ctime=2)
    assert scene.plan() == [Refresh(A, record.image_id, file), Add(NEW, own_id(NEW), file)]


def test_a_file_that_became_its_hard_links_is_renamed_to_the_first(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.gone(A)
    file = a_file(1, ALBUM, ctime=3)
    for rel_path in (B, C, NEW):
        scene.there(rel_path, 1, ctime=3)
    assert scene.plan() == [
        Rename(B, record.image_id, file, A),
        Add(C, own_id(C), file),
        Add(NEW, own_id(NEW), file),
    ]


# Rule 3: another file at the record's place.


def test_an_atomic_replace_is_an_update_under_the_same_id(scene: Scene) -> None:
    record = scene.known(A, 1, ALBUM)
    file = scene.there(A, 2, CHURCH)
    assert scene.plan() == [Update(A, record.image_id, file)]


def test_a_file_that_was_replaced_by_the_same_bytes_is_not_sent(scene: Scene) -> None:
    record = scene.known(A, 1)
    file = scene.there(A, 2)
    assert scene.plan() == [Refresh(A, record.image_id, file)]


def test_files_that_were_restored_from_a_backup_keep_their_ids_and_copies_stay_copies(
    scene: Scene,
) -> None:
    """New inodes, the same bytes, and the same picture twice, with a third copy beside them."""
    first, second = scene.known(A, 1), scene.known(B, 2)
    file_a, file_b, file_c = scene.there(A, 11), scene.there(B, 12), scene.there(C, 13)
    assert scene.plan() == [
        Refresh(A, first.image_id, file_a),
        Refresh(B, second.image_id, file_b),
        Add(C, own_id(C), file_c),
    ]


# Rule 4: no file.


def test_a_file_that_is_gone_for_good_is_deleted(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.gone(A)
    assert scene.plan() == [Delete(A, record.image_id)]


def test_a_file_that_is_not_gone_for_long_is_waited_for(scene: Scene) -> None:
    scene.known(A, 1)
    scene.gone(A, for_good=False)
    assert scene.plan() == []


def test_an_unclear_observation_changes_nothing(scene: Scene) -> None:
    """Not even that a file which looks like it elsewhere is the one that was here."""
    scene.known(A, 1)
    scene.unclear(A)
    file = scene.there(NEW, 1, ctime=2)
    assert scene.plan() == [Add(NEW, own_id(NEW), file)]


def test_a_path_that_was_not_asked_about_is_not_decided_on(scene: Scene) -> None:
    scene.known(A, 1)
    scene.gone(A)
    world = PlanInput(OWNER, frozenset(), scene.observations, scene.records, frozenset())
    assert plan(world) == Plan([], [])


# Rule 5: new files, and what the collection holds already.


def test_a_path_whose_id_is_in_use_gets_the_next_one(scene: Scene) -> None:
    """The one before was renamed away from here, long ago."""
    moved = scene.known(B, 1, CHURCH)
    scene.change(moved, image_id=own_id(A))
    file = scene.there(A, 2)
    assert scene.plan() == [Add(A, own_id(A, 1), file)]


def test_a_picture_that_the_collection_holds_is_adopted(scene: Scene) -> None:
    file = scene.there(A, 1)
    scene.search([own_id(A)], {A: [own_id(A)]})
    assert scene.plan() == [Adopt(A, own_id(A), file, sha256(ALBUM))]


def test_a_picture_that_was_renamed_before_the_state_was_lost_is_adopted(scene: Scene) -> None:
    file = scene.there(B, 1)
    scene.search([own_id(A)], {B: [own_id(A)]})
    assert scene.plan() == [Adopt(B, own_id(A), file, sha256(ALBUM))]


def test_of_several_copies_each_adopts_its_own_image(scene: Scene) -> None:
    """In whatever order the search names them."""
    all_ids = [own_id(C), own_id(B), own_id(A)]
    for inode, rel_path in enumerate((A, B, C)):
        scene.there(rel_path, inode)
    scene.search(all_ids, dict.fromkeys((A, B, C), all_ids))
    assert {action.rel_path: action.image_id for action in scene.plan()} == {
        rel_path: own_id(rel_path) for rel_path in (A, B, C)
    }


def test_a_renamed_copy_does_not_adopt_the_image_of_another_path(scene: Scene) -> None:
    """First all that are at their own place, then the others: A comes first, B is B's."""
    scene.there(A, 1)
    scene.there(B, 2)
    lost = own_id(at("old.jpg"))
    found = [own_id(B), lost]
    scene.search(found, {A: found, B: found})
    assert {action.rel_path: action.image_id for action in scene.plan()} == {A: lost, B: own_id(B)}


def test_an_image_with_the_id_of_the_path_that_is_another_picture_is_updated(scene: Scene) -> None:
    file = scene.there(A, 1)
    scene.search([own_id(A)], {})
    assert scene.plan() == [Update(A, own_id(A), file)]


def test_nothing_is_planned_for_a_new_file_before_it_was_searched_for(scene: Scene) -> None:
    scene.known(B, 1, CHURCH)
    scene.gone(B)
    scene.there(A, 2)
    scene.remote = Remote(frozenset({own_id(C)}))
    world = PlanInput(
        OWNER,
        frozenset({A, B}),
        scene.observations,
        scene.records,
        frozenset(),
        gone_for_good=frozenset({B}),
        remote=scene.remote,
    )
    assert plan(world) == Plan([Delete(B, own_id(B))], [A])


def test_an_image_reserved_for_another_plan_is_not_assigned(
    scene: Scene,
) -> None:
    file = scene.there(A, 1)
    scene.search([own_id(A)], {B: [own_id(A)]})
    assert scene.plan() == [Add(A, own_id(A, 1), file)]


def test_no_image_is_adopted_twice(scene: Scene) -> None:
    scene.there(A, 1)
    file = scene.there(B, 2)
    scene.search([own_id(A)], {A: [own_id(A)], B: [own_id(A)]})
    assert scene.plan()[1:] == [Add(B, own_id(B), file)]


def test_an_id_that_another_file_adopts_is_not_assigned(scene: Scene) -> None:
    """The picture of A was renamed to B and the state lost: a new file is at A now."""
    new, old = scene.there(A, 2, CHURCH), scene.there(B, 1)
    scene.search([own_id(A)], {B: [own_id(A)]})
    assert scene.plan() == [
        Add(A, own_id(A, 1), new),
        Adopt(B, own_id(A), old, sha256(ALBUM)),
    ]


def test_an_image_that_the_collection_has_lost_is_added_again(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.remote = Remote(missing=frozenset({record.image_id}))
    assert scene.plan() == [Add(A, record.image_id, a_file(1, ALBUM))]


def test_a_renamed_image_that_the_collection_has_lost_is_added_at_its_new_path(
    scene: Scene,
) -> None:
    record = scene.known(A, 1)
    scene.gone(A)
    file = scene.there(NEW, 1, ctime=2)
    scene.remote = Remote(missing=frozenset({record.image_id}))
    assert scene.plan() == [Rename(NEW, record.image_id, file, A), Add(NEW, record.image_id, file)]


def test_an_image_without_a_file_and_without_a_remote_image_is_forgotten(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.gone(A)
    scene.remote = Remote(missing=frozenset({record.image_id}))
    assert scene.plan() == [Forget(A, record.image_id)]


def test_an_image_that_is_missing_with_its_file_unclear_is_left_alone(scene: Scene) -> None:
    record = scene.known(A, 1)
    scene.unclear(A)
    scene.remote = Remote(missing=frozenset({record.image_id}))
    assert scene.plan() == []


def test_only_a_prune_deletes_images_without_a_record(scene: Scene) -> None:
    unwanted = scene.known(A, 1)
    remote = Remote(frozenset({"nas.2", "nas.1"}))
    scene.remote = remote
    assert scene.plan() == []
    assert prune([unwanted], remote.unclaimed) == [
        Delete(A, unwanted.image_id, Cause.LEFT_OUT),
        Delete(None, "nas.1", Cause.UNKNOWN),
        Delete(None, "nas.2", Cause.UNKNOWN),
    ]


def test_renames_come_first_and_deletions_last(scene: Scene) -> None:
    scene.known(A, 1)
    scene.gone(A)
    scene.known(B, 2, CHURCH)
    scene.gone(B)
    scene.known(C, 3, b"other")
    scene.there(C, 3, b"changed", mtime=2, ctime=2)
    scene.there(at("0.jpg"), 9, b"something new")
    scene.there(at("z.jpg"), 2, CHURCH, ctime=2)
    assert [type(action) for action in scene.plan()] == [Rename, Update, Add, Delete]
