"""Decisions on the page: what becomes of groups, and how each decision is undone."""

from __future__ import annotations

from typing import Any

from tests.review.conftest import SIZE
from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.reviewing import reviewing


def names(group: dict[str, Any]) -> list[str]:
    return [image["name"] for image in group["images"]]


def marked(client: PageClient) -> list[str]:
    return [each["path"] for each in client.get("/api/marked")["files"]]


def states(client: PageClient) -> dict[str, str]:
    """The state of each group, by the name of its first image."""
    return {names(each)[0]: each["state"] for each in client.groups(state="all")}


def test_the_group_with_the_largest_waste_comes_first_and_names_the_one_to_keep(
    client: PageClient,
) -> None:
    large, small = client.groups()
    assert names(large)[0] == "b.png"
    assert large["keep"] == large["images"][0]["image_id"]
    assert (large["reason"], large["reason_words"]) == ("more-pixels", "more pixels")
    assert large["waste_bytes"] > small["waste_bytes"]
    assert names(small) == ["x.jpg", "x2.jpg"]
    assert client.get("/api/groups")["total"] == {
        "groups": 2,
        "images": 6,
        "waste_bytes": large["waste_bytes"] + small["waste_bytes"],
    }


def test_a_whole_group_has_the_details_of_its_files(client: PageClient) -> None:
    [group, _] = client.groups()
    whole = client.get(f"/api/group/{group['group']}")
    assert whole["images"][0]["format"] == "PNG"
    assert {each["format"] for each in whole["images"]} == {"PNG", "JPEG"}
    assert whole["version"] == group["version"]


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
    assert sorted(marked(client)) == sorted(name for name in names(group) if name != kept)
    assert client.get("/api/changes")["marked"] == 3
    assert client.post("/api/undo")["undone"] == "keep"
    assert marked(client) == []
    assert states(client)["b.png"] == "open"


def test_another_choice_replaces_the_marks_and_undo_brings_the_first_ones_back(
    client: PageClient,
) -> None:
    [_, group] = client.groups()
    first, second = (each["image_id"] for each in group["images"])
    client.decide("keep", [group], first)
    client.decide("keep", [group], second)
    assert marked(client) == ["x.jpg"]
    client.post("/api/undo")
    assert marked(client) == ["x2.jpg"]
    client.post("/api/undo")
    assert marked(client) == []
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


def test_decisions_and_what_undoes_them_survive_the_end_of_the_page(home: Installation) -> None:
    with reviewing(home) as page:
        client = PageClient(page)
        [_, group] = client.groups()
        client.decide("keep", [group], group["keep"])
    with reviewing(home) as page:
        client = PageClient(page)
        assert marked(client) == ["x2.jpg"]
        assert client.post("/api/undo")["undone"] == "keep"
        assert marked(client) == []


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
    assert marked(client) == []


def test_a_group_whose_picture_changed_since_it_was_seen_is_refused(
    home: Installation, client: PageClient
) -> None:
    [_, group] = client.groups()
    (home.pictures / "x2.jpg").write_bytes(encode(photo(2, SIZE), quality=60))
    home.ok("resync")
    seen = [[each["image_id"], each["sha256"]] for each in group["images"]]
    decided = {"group": group["group"], "seen": seen}
    outcome = client.post("/api/decide", {"decision": "dismiss", "groups": [decided]})
    assert (outcome["done"], len(outcome["refused"])) == (0, 1)


def test_the_images_that_were_seen_can_be_named_instead_of_the_version(client: PageClient) -> None:
    [_, group] = client.groups()
    seen = [[each["image_id"], each["sha256"]] for each in group["images"]]
    decided = {"group": group["group"], "seen": seen}
    outcome = client.post("/api/decide", {"decision": "dismiss", "groups": [decided]})
    assert outcome["done"] == 1


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


def test_a_marked_file_that_is_gone_or_changed_leaves_the_list(
    home: Installation, client: PageClient
) -> None:
    [group, other] = client.groups()
    client.decide("keep", [group], group["keep"])
    client.decide("keep", [other], other["keep"])
    assert sorted(marked(client)) == ["a small.jpg", "a.png", "c.png", "x2.jpg"]
    (home.pictures / "c.png").unlink()
    (home.pictures / "a small.jpg").write_bytes(encode(photo(9, SIZE)))
    home.ok("resync")
    assert sorted(marked(client)) == ["a.png", "x2.jpg"]
    (home.pictures / "x2.jpg").write_bytes(encode(photo(2, SIZE), quality=60))
    home.ok("resync")
    assert marked(client) == ["a.png"]
    # Its only marked file changed, so there is something to decide again.
    assert states(client)["x.jpg"] == "open"


def test_the_one_to_keep_must_be_a_file_of_the_group(client: PageClient) -> None:
    [group, other] = client.groups()
    outcome = client.decide("keep", [group], other["images"][0]["image_id"])
    assert outcome["refused"][0]["reason"] == "the image to keep has no file on this machine"
    assert client.decide("keep", [group])["done"] == 0
    assert marked(client) == []


def test_a_file_whose_group_is_undecided_can_be_unmarked_and_marked_again(
    client: PageClient,
) -> None:
    [group, _] = client.groups()
    client.decide("keep", [group], group["keep"])
    files = client.get("/api/marked")["files"]
    client.post("/api/marked/unmark", {"image_ids": [files[0]["image_id"]]})
    assert len(marked(client)) == 2
    assert states(client)["b.png"] == "marked"
    client.post("/api/marked/unmark", {"all": True})
    assert marked(client) == []
    assert states(client)["b.png"] == "open"
    client.post("/api/undo")
    assert len(marked(client)) == 2
    client.post("/api/undo")
    assert len(marked(client)) == 3


def test_a_decision_about_all_shown_groups_does_what_its_preview_shows(client: PageClient) -> None:
    filters = {"state": "open"}
    asked = {"decision": "keep", "filter": filters, "preview": True}
    preview = client.post("/api/decide-all", asked)
    assert (preview["groups"], preview["images"]) == (2, 4)
    assert preview["kinds"] == {"identical": 2, "reencoded": 2}
    assert marked(client) == []
    done = client.post("/api/decide-all", {**asked, "preview": False, "digest": preview["digest"]})
    assert (done["groups"], done["refused"]) == (2, [])
    assert sorted(marked(client)) == ["a small.jpg", "a.png", "c.png", "x2.jpg"]
    assert client.get("/api/marked")["bytes"] == preview["bytes"]
    assert client.post("/api/undo")["undone"] == "keep"
    assert marked(client) == []


def test_a_decision_about_all_groups_is_refused_if_they_changed_since_the_preview(
    home: Installation, client: PageClient
) -> None:
    asked = {"decision": "dismiss", "filter": {}, "preview": True}
    digest = client.post("/api/decide-all", asked)["digest"]
    (home.pictures / "x3.jpg").write_bytes(encode(photo(2, SIZE), quality=70))
    home.ok("resync")
    client.post("/api/decide-all", {**asked, "preview": False, "digest": digest}, status=409)
    assert len(client.groups()) == 2


def test_keeping_the_best_of_all_groups_leaves_out_those_without_evidence(
    home: Installation, client: PageClient
) -> None:
    for name, quality in (("y.jpg", 80), ("y2.jpg", 80)):
        picture = encode(photo(3, SIZE), quality=quality, comment=name.encode())
        (home.pictures / name).write_bytes(picture)
    home.ok("resync")
    preview = client.post("/api/decide-all", {"decision": "keep", "filter": {}, "preview": True})
    assert preview["groups"] == 2
    assert preview["skipped"] == [{"reason": "no evidence favours one picture", "groups": 1}]


def test_keeping_the_best_of_a_filtered_list_marks_only_the_images_that_match_the_filter(
    client: PageClient,
) -> None:
    asked = {"decision": "keep", "filter": {"kind": "identical"}, "preview": True}
    preview = client.post("/api/decide-all", asked)
    assert (preview["groups"], preview["kinds"]) == (1, {"identical": 2})
    client.post("/api/decide-all", {**asked, "preview": False, "digest": preview["digest"]})
    assert sorted(marked(client)) == ["a.png", "c.png"]
    # Nobody has decided about the small copy yet.
    group = client.groups()[0]
    assert sorted(each["name"] for each in group["images"] if each["is_marked"]) == [
        "a.png",
        "c.png",
    ]
    client.post("/api/undo")
    assert marked(client) == []


def test_filters_select_groups_by_kind_folder_and_rank(client: PageClient) -> None:
    assert len(client.groups(kind="identical")) == 1
    assert len(client.groups(kind="mirrored")) == 0
    assert len(client.groups(folder="pictures")) == 2
    assert len(client.groups(folder="elsewhere")) == 0
    assert len(client.groups(max_rank=0)) >= 1
    assert [names(each)[0] for each in client.groups(sort="size")] == ["b.png", "x.jpg"]


def test_groups_are_asked_for_by_name_in_any_state(client: PageClient) -> None:
    [group, other] = client.groups()
    client.decide("later", [group])
    ids = f"{group['group']},{other['group']},4711"
    found = client.get("/api/groups", ids=ids)["groups"]
    assert [each["state"] for each in found] == ["later", "open"]


def test_every_change_has_another_version(home: Installation, client: PageClient) -> None:
    first = client.get("/api/changes")["version"]
    assert client.get("/api/changes", since=first) == {
        "version": first,
        "changed": False,
        "marked": 0,
    }
    client.decide("later", [client.groups()[0]])
    second = client.get("/api/changes", since=first)
    assert second["changed"] is True
    (home.pictures / "x2.jpg").unlink()
    home.ok("resync")
    assert client.get("/api/changes", since=second["version"])["changed"] is True


def test_pages_of_groups_follow_each_other(client: PageClient) -> None:
    first = client.get("/api/groups", count=1)
    second = client.get("/api/groups", count=1, after=first["next"])
    assert [names(each)[0] for each in first["groups"] + second["groups"]] == ["b.png", "x.jpg"]
    assert second["next"] is None
