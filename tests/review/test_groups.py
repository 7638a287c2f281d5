"""The lists of groups: order, pages, filters, and a decision about all of a list."""

from __future__ import annotations

import re

from tests.support.page_client import PageClient, names
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.two_groups import SIZE


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


def test_pages_of_groups_follow_each_other(client: PageClient) -> None:
    first = client.get("/api/groups", count=1)
    second = client.get("/api/groups", count=1, after=first["next"])
    assert [names(each)[0] for each in first["groups"] + second["groups"]] == ["b.png", "x.jpg"]
    assert second["next"] is None


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


def test_a_group_whose_images_are_gone_has_a_list_of_its_own(
    home: Installation, client: PageClient
) -> None:
    (home.pictures / "x2.jpg").unlink()
    home.ok("resync")
    assert len(client.groups()) == 1
    [gone] = client.groups(state="gone")
    assert gone["state"] == "gone"
    assert {each["name"]: each["is_gone"] for each in gone["images"]} == {
        "x.jpg": False,
        "x2.jpg": True,
    }
    assert client.get(f"/api/group/{gone['group']}")["group"] == gone["group"]
    assert client.get("/api/groups", ids=gone["group"])["groups"] == [gone]
    decided = {"group": gone["group"], "version": gone["version"]}
    client.post("/api/decide", {"decision": "dismiss", "groups": [decided]}, status=400)


def test_a_decision_about_all_shown_groups_does_what_its_preview_shows(client: PageClient) -> None:
    filters = {"state": "open"}
    asked = {"decision": "keep", "filter": filters, "preview": True}
    preview = client.post("/api/decide-all", asked)
    assert (preview["groups"], preview["images"]) == (2, 4)
    assert preview["kinds"] == {"identical": 2, "reencoded": 2}
    assert client.marked() == []
    done = client.post("/api/decide-all", {**asked, "preview": False, "digest": preview["digest"]})
    assert (done["groups"], done["refused"]) == (2, [])
    assert sorted(client.marked()) == ["a small.jpg", "a.png", "c.png", "x2.jpg"]
    assert client.get("/api/marked")["bytes"] == preview["bytes"]
    assert client.post("/api/undo")["undone"] == "keep"
    assert client.marked() == []


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
    assert sorted(client.marked()) == ["a.png", "c.png"]
    # Nobody has decided about the small copy yet.
    group = client.groups()[0]
    assert sorted(each["name"] for each in group["images"] if each["is_marked"]) == [
        "a.png",
        "c.png",
    ]
    client.post("/api/undo")
    assert client.marked() == []


def test_marking_more_files_of_a_group_keeps_the_marks_of_an_earlier_filter(
    client: PageClient,
) -> None:
    for kind in ("identical", "reencoded"):
        asked = {"decision": "keep", "filter": {"kind": kind}}
        preview = client.post("/api/decide-all", {**asked, "preview": True})
        client.post("/api/decide-all", {**asked, "preview": False, "digest": preview["digest"]})
    assert sorted(client.marked()) == ["a small.jpg", "a.png", "c.png", "x2.jpg"]
    assert client.groups() == []
    client.post("/api/undo")
    assert sorted(client.marked()) == ["a.png", "c.png"]
    assert len(client.groups()) == 2


def test_the_page_offers_the_list_of_each_state(client: PageClient) -> None:
    form = client.send("GET", "/").text.partition('name="state"')[2].partition("</select>")[0]
    offered = re.findall(r'value="(\w+)"', form)
    assert sorted(offered) == ["all", "dismissed", "gone", "later", "marked", "open"]
    for state in offered:
        client.get("/api/groups", state=state)
