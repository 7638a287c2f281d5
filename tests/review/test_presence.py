"""Files that are removed where no service watches the folders."""

from __future__ import annotations

from tests.support.page_client import PageClient
from tests.support.process import Installation
from tests.support.reviewing import reviewing


def test_without_a_service_a_file_that_is_removed_leaves_the_page_as_well(
    home: Installation,
) -> None:
    with reviewing(home) as page:
        client = PageClient(page)
        [group, other] = client.groups()
        client.decide("keep", [group], group["keep"])
        assert len(client.marked()) == 3
        [shown] = client.groups()
        version = client.get("/api/changes")["version"]
        (home.pictures / "x2.jpg").unlink()
        (home.pictures / "c.png").unlink()
        assert client.get("/api/changes", since=version)["changed"] is True
        assert client.groups() == []
        assert client.get("/api/groups", ids=shown["group"])["groups"] == []
        assert sorted(client.marked()) == ["a small.jpg", "a.png"]
        # A folder that is missing as a whole proves nothing.
        home.pictures.rename(home.home / "away")
        assert [each["group"] for each in client.groups()] == [other["group"]]
