"""The campaign of disks, for a minute, and what its judge takes for certain."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from tests.campaigns.disks.conditions import KIND_WEIGHTS, STEP_WEIGHTS, Conditions, Layout, Story
from tests.campaigns.disks.ledger import Ledger, Picture
from tests.campaigns.disks.sequence import Sequence
from tests.support.collection_server import CollectionServer, Seen
from tests.support.disks import KINDS, why_not

SEED = 7
SEQUENCES = 80


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_disk_in_the_place_of_another_costs_an_image() -> None:
    if (reason := why_not("exfat")) is not None:
        pytest.skip(reason)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.campaigns.disks"),
            *("--seed", str(SEED), "--sequences", str(SEQUENCES), "--processes", "0.03"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_seed_covers_every_kind_of_disk_and_step() -> None:
    all_kinds = list(KIND_WEIGHTS)
    conditions = [Conditions.of(SEED, index, all_kinds, 0.03) for index in range(SEQUENCES)]
    assert {each.kind for each in conditions} == KINDS.keys()
    assert {each.layout for each in conditions} == set(Layout)
    assert {step.name for each in conditions for step in each.steps} == STEP_WEIGHTS.keys()
    assert {each.is_process for each in conditions} == {True, False}


def test_every_step_is_a_step_of_a_sequence() -> None:
    assert all(callable(getattr(Sequence, name)) for name in STEP_WEIGHTS)


# What the campaign takes for certain. If this were wrong, it would pass whatever happens.


class Judged:
    """A ledger that judges what a collection is asked."""

    def __init__(self, server: CollectionServer) -> None:
        self.ledger = Ledger(Story(), allows_foreign=False)
        self.server = server
        self.ledger.watch(server)

    def hold(self, picture: Picture) -> str:
        """The collection has this picture; its ID."""
        image_id = f"tests.{picture.number}"
        self.server.collection.add_image(io.BytesIO(picture.data), image_id)
        self.server.contents[image_id] = picture.sha256
        return image_id

    def ask(self, method: str, image_id: str, sha256: str = "") -> list[str]:
        """What is wrong with this request."""
        self.ledger.violations.clear()
        seen = Seen(method, f"/api/v1/image/{image_id}", image_id, {}, 0, sha256=sha256)
        self.server.fault_for(seen)
        return self.ledger.violations


@pytest.fixture
def judged(shelf_server: CollectionServer) -> Judged:
    return Judged(shelf_server)


def test_only_a_picture_that_a_person_deleted_may_be_deleted(judged: Judged) -> None:
    picture = judged.ledger.new_picture()
    image_id = judged.hold(picture)
    assert judged.ask("DELETE", image_id) != []
    judged.ledger.deleted.add(picture.number)
    assert judged.ask("DELETE", image_id) == []


def test_a_picture_keeps_its_number_when_it_is_edited(judged: Judged) -> None:
    picture = judged.ledger.new_picture()
    edited = judged.ledger.edit(picture)
    assert edited.sha256 != picture.sha256
    assert judged.ask("PUT", "tests.1", edited.sha256) == []
    assert judged.ask("DELETE", judged.hold(edited)) != []


@pytest.mark.parametrize("allows", [True, False])
def test_a_picture_of_another_disk_may_only_be_sent_from_a_disk_below_the_folder(
    judged: Judged, *, allows: bool
) -> None:
    judged.ledger.allows_foreign = allows
    picture = judged.ledger.new_picture(foreign=True)
    assert (judged.ask("POST", "tests.1", picture.sha256) == []) is allows
    assert judged.ask("DELETE", judged.hold(picture)) != []


def test_an_image_that_is_already_deleted_can_be_deleted_again(judged: Judged) -> None:
    assert judged.ask("DELETE", "tests.1") == []
