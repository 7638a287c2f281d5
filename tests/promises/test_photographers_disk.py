"""On a photographer's disk, snoopsync finds the groups that a person would make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.photographers_disk import build
from tests.support.process import QUICK_SYNC, Installation

pytestmark = pytest.mark.integration

EXPECTED: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("photographers_disk.yaml").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The disk, mirrored and searched for duplicates."""
    pytest.importorskip("rawpy", reason="RAW files need the extra raw")
    home = Installation(tmp_path_factory.mktemp("disk"))
    build(home.pictures)
    home.configure(f"{QUICK_SYNC}duplicates: {{log: '{home.home / 'alerts.jsonl'}'}}\n")
    home.ok("resync")
    return home


def found_groups(home: Installation) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = home.json("duplicates", "--json")
    return groups


def test_the_groups_and_the_pictures_to_keep_are_those_of_a_person(home: Installation) -> None:
    expected = [
        {
            "keep": each.get("keep"),
            "others": sorted(each["others"]),
            "series": each.get("series", False),
        }
        for each in EXPECTED["groups"]
    ]
    found = []
    for group in found_groups(home):
        paths = {image["image_id"]: image["path"] for image in group["images"]}
        keep = paths.pop(group["keep"], None)
        found.append({"keep": keep, "others": sorted(paths.values()), "series": group["series"]})
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_all_other_pictures_are_in_no_group(home: Installation) -> None:
    grouped = {image["path"] for group in found_groups(home) for image in group["images"]}
    listed = {image["path"] for image in home.json("list", "--json")}
    assert sorted(listed - grouped) == EXPECTED["alone"]


def test_each_picture_has_the_companions_that_a_person_names(home: Installation) -> None:
    expected = {
        path: companions
        for group in EXPECTED["groups"]
        for path, companions in group.get("companions", {}).items()
    }
    found = {
        image["path"]: image["companions"]
        for group in found_groups(home)
        for image in group["images"]
        if image["companions"]
    }
    assert found == expected


def test_the_surplus_is_what_may_go(home: Installation) -> None:
    surplus = home.ok("duplicates", "--surplus", "-0").split("\0")[:-1]
    paths = [str(Path(path).relative_to(home.pictures)) for path in surplus]
    assert sorted(paths) == sorted(EXPECTED["surplus"])


def test_each_group_of_duplicates_is_alerted_and_no_series_is(home: Installation) -> None:
    alerts = (home.home / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(alerts) == EXPECTED["alerts"]
