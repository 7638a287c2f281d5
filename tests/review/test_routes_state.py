"""Changes, held deletions and failed images."""

from __future__ import annotations

import pytest

from tests.support.page_client import PageClient
from tests.support.process import Installation
from tests.support.reviewing import reviewing


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


def test_the_overview_counts_the_groups_to_decide_as_the_list_does(client: PageClient) -> None:
    for decision in ("keep", "later"):
        shown = client.groups()
        assert client.get("/api/overview")["groups_to_decide"] == len(shown)
        kept = shown[0]["images"][0]["image_id"] if decision == "keep" else None
        client.decide(decision, shown[:1], keep=kept)
    assert client.get("/api/overview")["groups_to_decide"] == len(client.groups()) == 0


@pytest.mark.integration
def test_held_deletions_are_approved_or_discarded_on_the_page(home: Installation) -> None:
    home.configure("sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 0}}\n")
    (home.pictures / "a.png").unlink()
    assert home.run("resync").code == 4
    with reviewing(home) as page:
        client = PageClient(page)
        [held] = client.get("/api/held")["folders"]
        assert (held["folder"], held["count"]) == ("pictures", 1)
        assert [each["path"] for each in held["images"]] == ["a.png"]
        assert client.post("/api/held/approve", {"folder": "pictures"}) == {"images": 1}
        assert client.get("/api/held") == {"folders": []}
    assert home.json("resync", "--json")[-1]["deleted"] == 1


def test_failed_images_have_their_reason_and_the_time_of_the_next_attempt(
    home: Installation,
) -> None:
    broken = (home.pictures / "x.jpg").read_bytes()[:2000]
    (home.pictures / "broken.jpg").write_bytes(broken)
    assert home.run("resync").code == 3
    with reviewing(home) as page:
        client = PageClient(page)
        [failed] = client.get("/api/failed")["images"]
        assert failed["path"] == "broken.jpg"
        assert failed["error"].startswith("a truncated JPEG")
        assert failed["next_try"].startswith("20")
        assert client.get("/api/overview")["folders"][0]["failed"] == 1
