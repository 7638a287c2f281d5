"""Random operations by people, random faults of the collection, of the service and of the disk, and
the real service in the midst of them, with time. See ``tests.campaigns.everyday``."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.campaigns.everyday.conditions import Conditions
from tests.campaigns.everyday.driver import Campaign
from tests.campaigns.everyday.ledger import Known, Ledger
from tests.support.collection_server import Seen

#: Between them: quick and slow deletions, deletions that are held, events and polling, a collection
#: that answers and one that often doesn't.
SEEDS = (4, 17, 22)
SECONDS = 8.0

SEED = 7
MINUTE_SECONDS = 60.0

RANDOM_SEEDS = 4
LONG_SECONDS = 180.0

PICTURE = Path("/photos/album/a.jpg")


@pytest.mark.integration
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_history_ends_with_the_folders_mirrored(tmp_path: Path, seed: int) -> None:
    with Campaign(tmp_path, seed) as campaign:
        campaign.run(SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_in_a_minute(tmp_path: Path) -> None:
    with Campaign(tmp_path, SEED) as campaign:
        campaign.run(MINUTE_SECONDS)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(RANDOM_SEEDS))
def test_nothing_is_lost_with_random_seeds(tmp_path: Path, number: int) -> None:
    """A failure names the seed, and all that happened."""
    with Campaign(tmp_path, random.randrange(1_000_000)) as campaign:
        campaign.run(LONG_SECONDS)


def test_the_seeds_cover_all_conditions() -> None:
    conditions = [Conditions.of(seed) for seed in SEEDS]
    assert {each.watch for each in conditions} == {"events", "poll"}
    assert {each.hold == "never" for each in conditions} == {True, False}
    assert {each.fault_rate > 0 for each in conditions} == {True, False}
    assert {each.with_bad_files for each in conditions} == {True, False}
    assert {each.only_rescans_find for each in conditions} == {True, False}


# What the campaign takes for certain. If this were wrong, it would pass whatever happens.


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.begin({PICTURE: Known("tests.a", "aa")})
    return ledger


def request(method: str, image_id: str, sha256: str = "") -> Seen:
    return Seen(method, f"/api/v1/image/{image_id}", image_id, {}, 0, sha256=sha256)


def test_the_image_of_an_untouched_picture_must_not_be_deleted(ledger: Ledger) -> None:
    ledger.hide()
    assert "DELETE" in (ledger.judge(request("DELETE", "tests.a")) or "")
    assert ledger.judge(request("DELETE", "tests.b")) is None
    ledger.touch(PICTURE.parent)
    assert ledger.judge(request("DELETE", "tests.a")) is None


def test_an_untouched_picture_must_not_be_sent_again(ledger: Ledger) -> None:
    assert "second image" in (ledger.judge(request("POST", "tests.b", "aa")) or "")
    assert "other bytes" in (ledger.judge(request("PUT", "tests.a", "bb")) or "")
    assert "had confirmed" in (ledger.judge(request("PUT", "tests.a", "aa")) or "")
    assert ledger.judge(request("GET", "tests.a")) is None
    ledger.copy(PICTURE)
    assert ledger.judge(request("POST", "tests.b", "aa")) is None


def test_a_picture_that_was_moved_must_keep_its_id(ledger: Ledger) -> None:
    ledger.move(PICTURE.parent, Path("/photos/other"))
    assert ledger.expected() == {Path("/photos/other/a.jpg"): "tests.a"}
    assert "which was moved" in (ledger.judge(request("DELETE", "tests.a")) or "")


def test_a_picture_that_may_have_been_moved_out_of_sight_is_not_certain(ledger: Ledger) -> None:
    ledger.move(PICTURE, Path("/scans/a.jpg"))
    ledger.hide()
    assert ledger.judge(request("DELETE", "tests.a")) is None


def test_equal_files_may_swap_their_ids_when_the_state_file_is_lost(ledger: Ledger) -> None:
    ledger.copy(PICTURE)
    assert ledger.expected() == {PICTURE: "tests.a"}
    ledger.lose_state()
    assert ledger.expected() == {}
