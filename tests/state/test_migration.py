"""A state file with pairs, as the version before the groups wrote it, is migrated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.duplicates import Findings, FoundImage
from snoopsync.state.database import Database
from snoopsync.state.groups import Groups
from snoopsync.state.pairs import Duplicate, Pairs
from snoopsync.state.schema import STEPS
from snoopsync.state.searches import Due, Searches, SearchResult

#: The steps of the version that recorded pairs.
STEPS_WITH_PAIRS = STEPS[:5]

IMAGES = ("a", "b", "c", "d", "e", "f", "g", "h", "i")


def sha(name: str) -> bytes:
    return name.encode() * 32


def write_old_state(path: Path) -> None:
    """Pairs of images of ours: a-b alerted; c-d (identical) dismissed; e-f not alerted yet; g-gone,
    whose file was deleted; h-other.1, an image of another owner; h-i left out."""
    with closing(Database(path, steps=STEPS_WITH_PAIRS)) as database, database.transaction():
        for number, name in enumerate(IMAGES):
            content = sha("c") if name == "d" else sha(name)
            database.change(
                "INSERT INTO image (image_id, folder, directory, name, inode, size, mtime_ns,"
                " ctime_ns, submount, sha256, dirty, mark, left_out)"
                " VALUES (?, 'photos', x'', ?, ?, 10, 1, 1, 0, ?, 0, 1, ?)",
                (name, name.encode(), number, content, name == "i"),
            )
        pairs = [
            # a, b, finder, rank, kind, found_at, alerted, dismissed, gone
            ("a", "b", "b", 3, "reencoded", 1.0, 1, 0, 0),
            ("c", "d", "d", 0, "identical", 2.0, 1, 1, 0),
            ("e", "f", "f", 5, None, 3.0, 0, 0, 0),
            ("g", "gone", "g", 7, "cropped", 4.0, 1, 0, 1),
            ("h", "other.1", "h", 9, "edited", 5.0, 1, 0, 0),
            ("h", "i", "h", 9, "edited", 5.0, 1, 0, 2),
        ]
        for a, b, *rest in pairs:
            contents = (
                sha(a),
                sha("c") if b == "d" else sha({"gone": "z", "other.1": "o"}.get(b, b)),
            )
            database.change(
                "INSERT INTO pair (a, b, finder, rank, kind, found_at, alerted, dismissed, gone,"
                " a_sha256, b_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (a, b, *rest, *contents),
            )
        database.change("INSERT INTO dismissal VALUES (?, ?)", (sha("x"), sha("y")))
        database.change(
            "INSERT INTO picture (image_id, sha256, facts) VALUES (?, ?, ?)",
            ("a", sha("a"), '{"width": 400, "height": 300}'),
        )
        database.change(
            "INSERT INTO picture (image_id, sha256, folder, directory, name)"
            " VALUES ('gone', ?, 'photos', x'', x'67')",
            (sha("z"),),
        )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    path = tmp_path / "state.sqlite3"
    write_old_state(path)
    with closing(Database(path)) as database:
        Searches(database).settle()
        yield database


def test_pairs_become_groups(database: Database) -> None:
    groups = {
        tuple(image.side.image_id for image in group.images)
        for group in Groups(database, {"photos": (0, False)}).listed(2e9)
    }
    assert groups == {("a", "b"), ("e", "f"), ("h", "other.1")}
    listed = Pairs(database).listed(everything=True)
    states = {(pair.a.image_id, pair.b.image_id): pair.state for pair in listed}
    assert states["c", "d"] == "dismissed"
    assert states["g", "gone"] == "gone"
    [pair] = [pair for pair in Pairs(database).listed() if pair.a.image_id == "a"]
    assert (pair.rank, pair.kind, pair.found_at) == (3, "reencoded", 1.0)
    assert pair.a.facts == {"width": 400, "height": 300}
    [gone] = [each for each in Pairs(database).listed(everything=True) if each.a.image_id == "g"]
    assert gone.b.was is not None
    assert gone.b.was.path == b"g"


def test_an_older_file_is_checked_as_a_whole_before_it_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    write_old_state(path)
    (tmp_path / "state.sqlite3.checked").unlink()  # as after a crash
    with closing(Database(path)) as database:
        Searches(database).settle()
        assert Pairs(database).count_open() == 3


def test_a_dismissal_covers_all_old_pairs_with_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    write_old_state(path)
    with closing(Database(path, steps=STEPS_WITH_PAIRS)) as database:
        for a, found_at, dismissed in (("c", 6.0, 1), ("d", 7.0, 0)):
            database.change(
                "INSERT INTO pair (a, b, finder, rank, kind, found_at, alerted, dismissed, gone,"
                " a_sha256, b_sha256) VALUES (?, 'e', 'e', 3, 'edited', ?, 1, ?, 0, ?, ?)",
                (a, found_at, dismissed, sha("c"), sha("e")),
            )
    with closing(Database(path)) as database:
        Searches(database).settle()
        assert not any(
            pair.kind == "edited" and pair.b.image_id == "e" for pair in open_pairs(database)
        )


def test_old_hard_links_are_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    write_old_state(path)
    with closing(Database(path, steps=STEPS_WITH_PAIRS)) as database:
        database.change("UPDATE pair SET dismissed = 0, gone = 1 WHERE a = 'c' AND b = 'd'")
        database.change("UPDATE image SET inode = 77 WHERE image_id IN ('c', 'd')")
    with closing(Database(path)) as database:
        searches = Searches(database)
        searches.settle()
        assert not any(pair.kind == "identical" for pair in open_pairs(database))
        # Images with links are due as well, to learn how they are related.
        assert {"c", "d"} & {due.image_id for due in searches.due(9)} == {"d"}


def open_pairs(database: Database) -> list[Duplicate]:
    return list(Pairs(database).listed())


def test_past_alerts_stay_given_and_due_ones_are_given(database: Database) -> None:
    searches = Searches(database)
    assert [(each.image.image_id, each.match.image_id) for each in searches.alerts.due()] == [
        ("f", "e")
    ]
    searches.alerts.mark(searches.alerts.due())
    for one, other in ("ab", "ba", "ef"):
        found = Findings((FoundImage(other, 3, "reencoded", sha(other)),))
        searches.record([SearchResult(Due(one, sha(one)), found, 9.0)])
        assert searches.alerts.due() == []


def test_past_dismissals_stay(database: Database) -> None:
    searches = Searches(database)
    same = Findings((FoundImage("c", 0, "identical", sha("c")),))
    searches.record([SearchResult(Due("d", sha("c")), same, 9.0)])
    assert searches.alerts.due()[1:] == []
    for name, content in (("a", "x"), ("b", "y")):
        database.change("UPDATE image SET sha256 = ? WHERE image_id = ?", (sha(content), name))
    found = Findings((FoundImage("b", 3, None, sha("y")),))
    searches.record([SearchResult(Due("a", sha("x")), found, 9.0)])
    [pair] = [
        pair
        for pair in Pairs(database).listed(everything=True)
        if pair.rank == 3 and pair.state == "dismissed"
    ]
    assert (pair.a.image_id, pair.b.image_id) == ("a", "b")
