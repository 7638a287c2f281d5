"""The published client of 2015 works with ``serve``.

It is installed into a separate environment, with the functions that Python has removed since.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.foreign import environment_with
from tests.support.hosted import hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")

#: Every call of its documentation, in order, and then some errors.
SCRIPT = """
import base64, json, sys
base64.encodestring = base64.encodebytes
from visualsnoop.models import Collection

public_key, secret_key, endpoint = sys.argv[1:]
collection = Collection(public_key=public_key, secret_key=secret_key, endpoint=endpoint)
said = {"id": collection.id, "name": collection.name, "user": collection.user}
first = collection.add_image(image="example1.jpg")
own = first["image_id"]
said["add"] = first
said["add with id"] = collection.add_image(image="example2.jpg", image_id="myid12")
said["update"] = collection.add_image(image="example3.jpg", image_id=own, update_existing=True)
said["search by id"] = collection.search_images_by_id(image_id=own)
said["search"] = collection.search_images(image="example3.jpg")
said["get"] = collection.get_image(image_id="myid12")
said["list"] = collection.get_images()
said["page"] = collection.get_images(count=1)
said["next page"] = collection.get_images(start=said["page"]["next_image_id"], count=1)
said["delete"] = collection.delete_image(image_id="myid12")
said["gone"] = collection.get_image(image_id="myid12")
said["known"] = collection.add_image(image="example1.jpg", image_id=own)
said["space"] = collection.add_image(image="example1.jpg", image_id="with a space")
try:
    Collection(public_key=public_key, secret_key="wrong", endpoint=endpoint)
except Exception as error:
    said["refused"] = str(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the published client."""
    return environment_with(tmp_path_factory.mktemp("published"), "visualsnoop==0.2") / "python"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_published_client_can_do_all_that_its_documentation_shows(
    python: Path, tmp_path: Path
) -> None:
    home, data = Installation(tmp_path), tmp_path / "data"
    for number in (1, 2, 3):
        (tmp_path / f"example{number}.jpg").write_bytes(encode(photo(number)))
    (key,) = home.json("keys", "add", "Example collection", "--data", data, "--json")
    with hosted_process(home, data) as (_, endpoint):
        script = [python, "-c", SCRIPT, key["public_key"], key["secret_key"], endpoint]
        done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    collection_id = key["collection_id"]
    assert (said["id"], said["name"]) == (collection_id, "Example collection")
    assert isinstance(said["user"], str)
    own = said["add"]["image_id"]
    assert re.fullmatch("[0-9a-f]{32}", own)

    def expected(**rest: object) -> dict[str, object]:
        return {"collection_id": collection_id, "message": "OK", "status": 200} | rest

    first, second, newer = (said[call]["image_time"] for call in ("add", "add with id", "update"))
    assert all(TIME.fullmatch(moment) for moment in (first, second, newer))
    assert first < second < newer
    mine = {"image_id": own, "image_time": newer}
    theirs = {"image_id": "myid12", "image_time": second}
    listed = [{"id": own, "image_time": newer}, {"id": "myid12", "image_time": second}]
    assert said["add"] == expected(image_id=own, image_time=first, message="Added", status=201)
    assert said["add with id"] == expected(**theirs, message="Added", status=201)
    assert said["update"] == expected(**mine, message="Updated")
    assert said["search by id"] == expected(**mine, results=[])
    (match,) = said["search"].pop("results")
    assert (match["id"], match["rank"]) == (own, 0)
    assert said["search"] == expected()
    assert said["get"] == expected(**theirs)
    assert said["list"] == expected(images=listed, next_image_id=None)
    assert said["page"] == expected(images=listed[:1], next_image_id="myid12")
    assert said["next page"] == expected(images=listed[1:], next_image_id=None)
    assert said["delete"] == expected(**theirs, message="Deleted")
    assert [said[call]["status"] for call in ("gone", "known", "space")] == [404, 409, 201]
    assert said["space"]["image_id"] == "with a space"
    assert said["refused"] == "the key is unknown, or the signature is wrong"
