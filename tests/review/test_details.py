"""What the files of a group tell about their pictures."""

from __future__ import annotations

from tests.support.page_client import PageClient


def test_a_whole_group_has_the_details_of_its_files(client: PageClient) -> None:
    [group, _] = client.groups()
    whole = client.get(f"/api/group/{group['group']}")
    assert whole["images"][0]["format"] == "PNG"
    assert {each["format"] for each in whole["images"]} == {"PNG", "JPEG"}
    assert whole["version"] == group["version"]
