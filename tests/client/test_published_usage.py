"""The examples of the published client's usage page, in order: each works and answers alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from snoopsync import Collection
from snoopsync.embedded import open_embedded
from tests.support.collection_server import CollectionServer
from tests.support.pictures import encode, photo

PUBLIC_KEY, SECRET_KEY = "24d337fe0ed9427cb512", "sUGSL96ZvNxqHixSPUopX5L1MtSPdkjrSPrPOCMX"
KNOWN_ID = "c14d4bae93a95c159360e29de998181b"
ABOUT_AN_IMAGE = {"image_time", "collection_id", "image_id", "message", "status"}


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    ids = iter(["6b7c9142", KNOWN_ID])
    stored = open_embedded(
        tmp_path / "c.sqlite3", name="Example collection", new_id=lambda: next(ids)
    )
    with (
        CollectionServer(stored, {PUBLIC_KEY: SECRET_KEY}) as server,
        Collection(
            public_key=PUBLIC_KEY, secret_key=SECRET_KEY, endpoint=server.endpoint
        ) as client,
    ):
        yield client
    stored.close()


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write example1.jpg to example3.jpg to the paths of the examples."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 3):
        Path(f"example{number}.jpg").write_bytes(encode(photo(number)))


def check(answer: Mapping[str, Any], keys: set[str], **values: object) -> None:
    """Check that the answer has exactly these keys, and these values for some of them."""
    assert set(answer) == keys
    assert {key: answer[key] for key in values} == values


@pytest.mark.usefixtures("examples")
def test_every_example_of_the_published_usage_works(collection: Collection) -> None:
    about_it = {"collection_id": "6b7c9142"}

    assert collection.id == "6b7c9142"
    assert collection.name == "Example collection"
    assert isinstance(collection.user, str)

    answer = collection.add_image(image="example1.jpg")
    check(answer, ABOUT_AN_IMAGE, image_id=KNOWN_ID, message="Added", status=201, **about_it)

    answer = collection.add_image(image="example2.jpg", image_id="myid12")
    check(answer, ABOUT_AN_IMAGE, image_id="myid12", message="Added", status=201, **about_it)

    answer = collection.add_image(image="example3.jpg", image_id=KNOWN_ID, update_existing=True)
    check(answer, ABOUT_AN_IMAGE, image_id=KNOWN_ID, message="Updated", status=200, **about_it)

    found = collection.search_images_by_id(image_id=KNOWN_ID)
    keys = ABOUT_AN_IMAGE | {"results"}
    check(found, keys, image_id=KNOWN_ID, message="OK", status=200, results=[], **about_it)

    alike = collection.search_images(image="example3.jpg")
    check(alike, {"collection_id", "results", "message", "status"}, message="OK", status=200)
    assert [(match["id"], match["rank"]) for match in alike["results"]] == [(KNOWN_ID, 0)]

    answer = collection.get_image(image_id="myid12")
    check(answer, ABOUT_AN_IMAGE, image_id="myid12", message="OK", status=200, **about_it)

    page = collection.get_images()
    keys = {"collection_id", "status", "message", "images", "next_image_id"}
    check(page, keys, message="OK", status=200, next_image_id=None, **about_it)
    assert [image["id"] for image in page["images"]] == [KNOWN_ID, "myid12"]
    assert all(set(image) == {"image_time", "id"} for image in page["images"])

    answer = collection.delete_image(image_id="myid12")
    check(answer, ABOUT_AN_IMAGE, image_id="myid12", message="Deleted", status=200, **about_it)
