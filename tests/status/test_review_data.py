"""What the review page asks about the state, in a state file with many groups."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from snoopsync.config.settings import Config, FolderConfig
from snoopsync.control.commands import validate_command
from snoopsync.core.errors import StateError
from snoopsync.state.lock import locked
from snoopsync.status.review_data import MOST_IMAGES, ReviewData
from snoopsync.sync.components import open_state
from tests.support.many_groups import NEWEST, add_groups

COUNT = 300


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite3"
    with closing(open_state(path)) as database:
        add_groups(database, COUNT)
    return path


@pytest.fixture
def data(state: Path) -> Iterator[ReviewData]:
    folders = (FolderConfig("photos", Path("/photos")),)
    with closing(ReviewData(Config(folders=folders, state=state))) as data:
        yield data


def ask(data: ReviewData, name: str, **keys: Any) -> dict[str, Any]:
    command = {"command": name, **keys}
    validate_command(command)
    assert data.answers(command)
    answer = data.answer(command)
    json.dumps(answer)
    return answer


def pages(data: ReviewData, count: int, **keys: Any) -> list[list[str]]:
    """The numbers of the groups, page by page."""
    found: list[list[str]] = []
    after = None
    while True:
        page = ask(data, "groups", count=count, after=after, **keys)
        found.append([each["group"] for each in page["groups"]])
        after = page["next"]
        if after is None:
            return found


@pytest.mark.parametrize("sort", ["waste", "found", "size"])
def test_each_group_is_on_one_page_in_the_order_of_the_list(data: ReviewData, sort: str) -> None:
    shown = pages(data, 50, sort=sort)
    assert list(map(len, shown)) == [50] * 6
    numbers = [each for page in shown for each in page]
    assert len(set(numbers)) == COUNT
    assert [numbers] == pages(data, COUNT, sort=sort)
    if sort == "found":
        assert numbers == [str(2 * group + 1) for group in range(COUNT)]


def test_a_page_continues_after_a_group_that_is_gone_meanwhile(
    state: Path, data: ReviewData
) -> None:
    first = ask(data, "groups", count=50, sort="found")
    last = int(first["groups"][-1]["group"])
    with closing(open_state(state)) as database:
        database.change("UPDATE node SET group_id = NULL WHERE group_id = ?", (last,))
    following = ask(data, "groups", count=1, sort="found", after=first["next"])
    assert [each["group"] for each in following["groups"]] == [str(last + 2)]
    assert following["total"]["groups"] == COUNT - 1


def test_hidden_groups_are_left_out_and_count_nowhere(data: ReviewData) -> None:
    every = ask(data, "groups", count=1)["total"]
    hidden = [[2 * group + 1, NEWEST - group] for group in range(100)]
    page = ask(data, "groups", count=50, sort="found", hidden=hidden)
    assert page["groups"][0]["group"] == "201"
    assert page["total"]["groups"] == COUNT - 100
    assert page["total"]["images"] == every["images"] - 300
    assert page["total"]["waste_bytes"] < every["waste_bytes"]
    assert len([each for page in pages(data, 50, hidden=hidden) for each in page]) == COUNT - 100
    shown = pages(data, 30, only=hidden, sort="found")
    assert list(map(len, shown)) == [30, 30, 30, 10]


def test_a_group_that_a_picture_joined_since_is_not_hidden(data: ReviewData) -> None:
    hidden = [[1, NEWEST - 0.5], [3, NEWEST], [9999, NEWEST]]
    page = ask(data, "groups", count=3, sort="found", hidden=hidden)
    assert [each["group"] for each in page["groups"]] == ["1", "5", "7"]
    assert pages(data, 50, only=hidden) == [["3"]]


def test_a_group_has_its_members_with_their_bytes_size_kind_and_rank(data: ReviewData) -> None:
    [group] = ask(data, "groups_named", ids=[1], members=True)["groups"]
    content = hashlib.sha256(b"1").hexdigest()
    assert group["keep"] in ("tests.1-0", "tests.1-1")
    assert sorted(group["members"])[0][:3] == ["tests.1-0", content, 1000]
    assert [each[3:] for each in group["members"]] == [
        [None, None],
        ["identical", 0],
        ["reencoded", 2],
    ]
    assert group["images"] == []
    assert ask(data, "groups_named", ids=[4711])["groups"] == []


def test_the_version_of_a_group_changes_with_its_members(state: Path, data: ReviewData) -> None:
    def version() -> str:
        return str(ask(data, "groups_named", ids=[1])["groups"][0]["version"])

    before = version()
    with closing(open_state(state)) as database:
        database.change("UPDATE image SET left_out = 1 WHERE image_id = 'tests.1-1'")
    assert version() != before


def test_the_version_of_the_state_changes_with_the_file(state: Path, data: ReviewData) -> None:
    first = ask(data, "state_version")["version"]
    assert ask(data, "state_version")["version"] == first
    with locked(state), closing(open_state(state)) as database:
        # In use by a process that holds the lock, as by a service: read in place.
        held = ask(data, "state_version")["version"]
        database.change("UPDATE folder SET state = 'missing'")
        changed = ask(data, "state_version")["version"]
        assert changed != held
        image = ask(data, "images", ids=["tests.1-0"])["images"]["tests.1-0"]
        assert image["has_file"] is False
    assert ask(data, "images", ids=["tests.1-0"])["images"]["tests.1-0"]["has_file"] is False


def test_a_long_group_has_some_of_its_images_and_tells_how_many_there_are(
    state: Path, data: ReviewData
) -> None:
    content = hashlib.sha256(b"1").digest()
    with closing(open_state(state)) as database:
        rows = [(f"tests.copy{n}", b"copy%d.jpg" % n, 10_000 + n, content) for n in range(400)]
        database.change_many(
            "INSERT INTO image (image_id, folder, directory, name, inode, size, mtime_ns, ctime_ns,"
            " submount, sha256, synced_at, dirty, mark)"
            " VALUES (?, 'photos', x'', ?, ?, 5, 0, 0, 0, ?, 0, 0, 0)",
            rows,
        )
    [whole] = ask(data, "groups_named", ids=[1], whole=True)["groups"]
    assert (len(whole["images"]), whole["image_count"]) == (MOST_IMAGES, 403)
    [listed] = ask(data, "groups_named", ids=[1])["groups"]
    assert len(listed["images"]) == 12
    [counted] = ask(data, "groups_named", ids=[1], members=True)["groups"]
    assert len(counted["members"]) == 403


def test_only_files_in_configured_folders_can_be_opened(state: Path, data: ReviewData) -> None:
    known = ask(data, "pictures", ids=["tests.1-0", "tests.unknown", "other.x"])["pictures"]
    assert list(known) == ["tests.1-0"]
    assert (known["tests.1-0"]["root"], known["tests.1-0"]["path"]) == ("/photos", "1 0.jpg")
    with closing(open_state(state)) as database:
        database.change("UPDATE folder SET configured = 0")
    assert ask(data, "pictures", ids=["tests.1-0"])["pictures"] == {}


def test_images_are_found_by_their_paths(data: ReviewData) -> None:
    paths = [["photos", path.hex()] for path in (b"1 0.jpg", b"unknown.jpg", b"\xff")]
    assert ask(data, "images_at", paths=[*paths, ["other", b"1 0.jpg".hex()]])["ids"] == [
        *("tests.1-0", None, None, None)
    ]


def test_nothing_is_read_after_the_end(data: ReviewData) -> None:
    data.close()
    with pytest.raises(StateError, match="stopping"):
        ask(data, "state_version")
