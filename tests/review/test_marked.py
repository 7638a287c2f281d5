"""The list of marked files."""

from __future__ import annotations

from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.two_groups import SIZE


def test_a_marked_file_that_is_gone_or_changed_leaves_the_list(
    home: Installation, client: PageClient
) -> None:
    [group, other] = client.groups()
    client.decide("keep", [group], group["keep"])
    client.decide("keep", [other], other["keep"])
    assert sorted(client.marked()) == ["a small.jpg", "a.png", "c.png", "x2.jpg"]
    (home.pictures / "c.png").unlink()
    (home.pictures / "a small.jpg").write_bytes(encode(photo(9, SIZE)))
    home.ok("resync")
    assert sorted(client.marked()) == ["a.png", "x2.jpg"]
    (home.pictures / "x2.jpg").write_bytes(encode(photo(2, SIZE), quality=60))
    home.ok("resync")
    assert client.marked() == ["a.png"]
    # Its only marked file changed, so there is something to decide again.
    assert client.states()["x.jpg"] == "open"


def test_a_file_whose_group_is_undecided_can_be_unmarked_and_marked_again(
    client: PageClient,
) -> None:
    [group, _] = client.groups()
    client.decide("keep", [group], group["keep"])
    files = client.get("/api/marked")["files"]
    client.post("/api/marked/unmark", {"image_ids": [files[0]["image_id"]]})
    assert len(client.marked()) == 2
    assert client.states()["b.png"] == "marked"
    client.post("/api/marked/unmark", {"all": True})
    assert client.marked() == []
    assert client.states()["b.png"] == "open"
    client.post("/api/undo")
    assert len(client.marked()) == 2
    client.post("/api/undo")
    assert len(client.marked()) == 3


def test_a_dismissal_on_the_command_line_ends_the_marks_of_its_group(
    home: Installation, client: PageClient
) -> None:
    for group in client.groups():
        client.decide("keep", [group], group["keep"])
    [decided] = [each for each in client.groups(state="marked") if len(each["images"]) == 4]
    home.ok("duplicates", "dismiss", "--group", decided["group"])
    assert client.marked() == ["x2.jpg"]
    home.ok("duplicates", "restore", "--group", decided["group"])
    assert client.marked() == ["x2.jpg"]
    assert [each["group"] for each in client.groups()] == [decided["group"]]
    client.decide("keep", client.groups(), decided["keep"])
    assert len(client.marked()) == 4


def test_a_dismissal_of_two_marked_images_ends_all_marks_of_their_group(
    home: Installation, client: PageClient
) -> None:
    [group, _] = client.groups()
    by_name = {each["name"]: each for each in group["images"]}
    client.decide("keep", [group], by_name["b.png"]["image_id"])
    home.ok("duplicates", "dismiss", "pictures/a.png", "pictures/a small.jpg")
    assert client.marked() == []
    assert client.states()["b.png"] == "open"
