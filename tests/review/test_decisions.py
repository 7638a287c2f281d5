"""Decisions on the page: what becomes of groups, and how each decision is undone."""

from __future__ import annotations

import time
from contextlib import closing

from snoopsync.review.marks import Aside, AsideReason, Mark, Marks
from tests.support.page_client import PageClient, names
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.reviewing import reviewing
from tests.support.two_groups import SIZE


def test_a_dismissed_group_leaves_the_list_and_undo_brings_it_back(client: PageClient) -> None:
    [group, other] = client.groups()
    outcome = client.decide("dismiss", [group])
    assert (outcome["done"], outcome["refused"]) == (1, [])
    assert [each["group"] for each in client.groups()] == [other["group"]]
    [dismissed] = client.groups(state="dismissed")
    assert sorted(names(dismissed)) == sorted(names(group))
    assert dismissed["state"] == "dismissed"
    undone = client.post("/api/undo")
    assert undone == {"undone": "dismiss", "groups": [group["group"]], "refused": []}
    assert sorted(map(tuple, map(names, client.groups()))) == sorted(
        map(tuple, map(names, [group, other]))
    )
    assert client.groups(state="dismissed") == []


def test_a_restored_group_is_open_again_and_undo_dismisses_it(client: PageClient) -> None:
    client.decide("dismiss", [client.groups()[0]])
    [dismissed] = client.groups(state="dismissed")
    assert client.decide("restore", [dismissed])["done"] == 1
    assert len(client.groups()) == 2
    assert client.post("/api/undo")["undone"] == "restore"
    assert len(client.groups()) == 1


def test_keep_marks_the_other_files_and_the_group_is_no_longer_open(client: PageClient) -> None:
    [group, other] = client.groups()
    keep = group["images"][2]["image_id"]
    assert client.decide("keep", [group], keep)["done"] == 1
    assert [each["group"] for each in client.groups()] == [other["group"]]
    [decided] = client.groups(state="marked")
    assert (decided["state"], decided["picked"]) == ("marked", keep)
    assert [each["image_id"] for each in decided["images"] if not each["is_marked"]] == [keep]
    kept = group["images"][2]["name"]
    assert sorted(client.marked()) == sorted(name for name in names(group) if name != kept)
    assert client.get("/api/changes")["marked"] == 3
    assert client.post("/api/undo")["undone"] == "keep"
    assert client.marked() == []
    assert client.states()["b.png"] == "open"


def test_another_choice_replaces_the_marks_and_undo_brings_the_first_ones_back(
    client: PageClient,
) -> None:
    [_, group] = client.groups()
    first, second = (each["image_id"] for each in group["images"])
    client.decide("keep", [group], first)
    client.decide("keep", [group], second)
    assert client.marked() == ["x.jpg"]
    client.post("/api/undo")
    assert client.marked() == ["x2.jpg"]
    client.post("/api/undo")
    assert client.marked() == []
    assert client.post("/api/undo") == {"undone": None, "groups": [], "refused": []}


def test_a_group_for_later_is_in_its_own_list_until_it_is_open_again(client: PageClient) -> None:
    [group, other] = client.groups()
    client.decide("later", [group])
    assert [each["group"] for each in client.groups()] == [other["group"]]
    assert [each["group"] for each in client.groups(state="later")] == [group["group"]]
    client.decide("open", [group])
    assert len(client.groups()) == 2
    client.post("/api/undo")
    assert [each["group"] for each in client.groups(state="later")] == [group["group"]]


def test_decisions_and_their_undo_survive_the_end_of_the_page(home: Installation) -> None:
    with reviewing(home) as page:
        client = PageClient(page)
        [_, group] = client.groups()
        client.decide("keep", [group], group["keep"])
    with reviewing(home) as page:
        client = PageClient(page)
        assert client.marked() == ["x2.jpg"]
        assert client.post("/api/undo")["undone"] == "keep"
        assert client.marked() == []


def test_a_group_that_got_a_picture_since_it_was_seen_is_refused_with_the_reason(
    home: Installation, client: PageClient
) -> None:
    [_, group] = client.groups()
    (home.pictures / "x3.jpg").write_bytes(encode(photo(2, SIZE), quality=70))
    home.ok("resync")
    for decision in ("dismiss", "keep"):
        outcome = client.decide(decision, [group], group["images"][0]["image_id"])
        assert outcome == {
            "undo": None,
            "done": 0,
            "refused": [
                {
                    "group": group["group"],
                    "reason": "its images have changed since you saw them",
                }
            ],
        }
    assert client.marked() == []


def test_a_group_whose_picture_changed_since_it_was_seen_is_refused(
    home: Installation, client: PageClient
) -> None:
    [_, group] = client.groups()
    (home.pictures / "x2.jpg").write_bytes(encode(photo(2, SIZE), quality=60))
    home.ok("resync")
    outcome = client.decide("dismiss", [group])
    assert (outcome["done"], len(outcome["refused"])) == (0, 1)


def test_a_group_with_decided_files_is_open_again_when_a_picture_joins_it(
    home: Installation, client: PageClient
) -> None:
    [_, group] = client.groups()
    client.decide("keep", [group], group["keep"])
    (home.pictures / "x3.jpg").write_bytes(encode(photo(2, SIZE), quality=70))
    home.ok("resync")
    [_, again] = client.groups()
    assert (again["state"], again["picked"]) == ("open", group["keep"])
    assert [each["name"] for each in again["images"] if each["is_marked"]] == ["x2.jpg"]


def test_the_one_to_keep_must_be_a_file_of_the_group(client: PageClient) -> None:
    [group, other] = client.groups()
    outcome = client.decide("keep", [group], other["images"][0]["image_id"])
    assert outcome["refused"][0]["reason"] == "the image to keep has no file on this machine"
    assert client.decide("keep", [group])["done"] == 0
    assert client.marked() == []


def test_no_file_is_marked_while_a_mark_of_an_earlier_group_relies_on_it(
    home: Installation, client: PageClient
) -> None:
    [group, other] = client.groups()
    by_name = {each["name"]: each for each in (*group["images"], *other["images"])}
    marked, relied_on = by_name["x2.jpg"], by_name["a.png"]
    earlier = Mark(
        *(marked["image_id"], marked["sha256"], relied_on["image_id"], relied_on["sha256"]),
        group_id=999,
        at=time.time(),
    )
    [path] = home.home.rglob("review/*.sqlite3")
    with closing(Marks(path)) as marks:
        marks.set_aside([Aside(999, AsideReason.MARKED, 0.0)])
        marks.add_marks([earlier])
        client.decide("keep", [group], by_name["b.png"]["image_id"])
        assert sorted(client.marked()) == ["a small.jpg", "a.png", "c.png"]
        assert 999 not in marks.asides()
        client.post("/api/undo")
        assert marks.marks() == [earlier]
        assert 999 in marks.asides()
