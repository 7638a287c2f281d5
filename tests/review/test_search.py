"""Have I got this one?"""

from __future__ import annotations

import pytest

from tests.support.page_client import PageClient
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.reviewing import reviewing
from tests.support.two_groups import SIZE


@pytest.mark.integration
def test_a_dropped_picture_is_searched_for_in_the_collection(
    machines: tuple[Installation, Installation],
) -> None:
    one, _ = machines
    one.ok("resync")
    with reviewing(one) as page:
        client = PageClient(page)
        headers = {"Content-Type": "image/jpeg"}
        found = client.send(
            "POST", "/api/search", headers, data=encode(photo(1, SIZE), quality=60)
        ).json()["results"]
        assert [(each["path"], each["kind"]) for each in found] == [("one.jpg", "reencoded")]
        nothing = client.send("POST", "/api/search", headers, data=encode(photo(8, SIZE)))
        assert nothing.json()["results"] == []
        answer = client.send("POST", "/api/search", headers, data=b"no picture")
        assert answer.status_code == 400


def test_a_dropped_picture_is_found_in_the_embedded_collection_with_its_group(
    home: Installation,
) -> None:
    with reviewing(home) as page:
        client = PageClient(page)
        [_, group] = client.groups()
        picture = (home.pictures / "x.jpg").read_bytes()
        headers = {"Content-Type": "image/jpeg"}
        found = client.send("POST", "/api/search", headers, data=picture).json()["results"]
        assert {(each["name"], each["group"]) for each in found} == {
            ("x.jpg", group["group"]),
            ("x2.jpg", group["group"]),
        }
