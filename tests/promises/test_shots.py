"""Files of one shot and shots of a series, from the files on the disk to alerts and lists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.camera import frame, taken
from tests.support.pictures import encode
from tests.support.process import QUICK_SYNC, Installation


class Archive(Installation):
    """A photographer's pictures."""

    def distinguish(self, **duplicates: bool) -> None:
        """Configure how duplicates are distinguished, with a file of alerts."""
        keys = {"log": "alerts.jsonl", **duplicates}
        section = f"duplicates: {json.dumps(keys)}\n"
        folders = f"folders: [{{path: {self.pictures}, include: ['*']}}]\n"
        self.configure(QUICK_SYNC + section, folders)

    def write(self, name: str, content: bytes) -> None:
        path = self.pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def alerts(self) -> list[set[str]]:
        """The pairs that were alerted since the last call."""
        file = self.config.parent / "alerts.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [{alert["path"], alert["match_path"]} for alert in map(json.loads, lines)]

    def mirror(self) -> list[set[str]]:
        """Mirror everything. Returns the pairs that were alerted."""
        self.ok("resync")
        return self.alerts()

    def groups(self, *arguments: str, series: bool) -> list[set[str]]:
        """The series, or the groups of duplicates."""
        return [
            paths(group)
            for group in self.json("duplicates", "--json", *arguments)
            if group["series"] == series
        ]


def paths(group: dict[str, Any]) -> set[str]:
    return {image["path"] for image in group["images"]}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    archive = Archive(tmp_path)
    archive.distinguish()
    return archive


def burst(archive: Archive, count: int, directory: str = "") -> list[str]:
    """Frames that a camera took at two a second."""
    names = [f"{directory}IMG_{1000 + number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        archive.write(name, taken(frame(1, number), number / 2))
    return names


def found_by(archive: Archive, names: Sequence[str]) -> None:
    """Check that the search does find these pictures, so that something distinguishes them."""
    found = archive.json("search", archive.pictures / names[0], "--json")[0]["results"]
    assert {result["path"] for result in found} >= set(names)


def test_a_burst_is_a_series_without_alert(archive: Archive) -> None:
    names = burst(archive, 6)
    assert archive.mirror() == []
    found_by(archive, names)
    assert archive.groups(series=True) == [set(names)]
    assert archive.groups(series=False) == []
    status = archive.status()
    assert (status["duplicates_open"], status["duplicate_groups_open"]) == (0, 0)
    assert archive.run("duplicates", "--exit-code").code == 0
    assert archive.ok("duplicates", "--pairs", "--all") == ""
    for kind in ("identical", "reencoded"):
        assert archive.ok("duplicates", "--surplus", "--kind", kind) == ""
    [group] = archive.json("duplicates", "--json")
    assert (group["keep"], group["reason"], group["open_pairs"] > 4) == (None, None, True)


def test_a_bracket_is_a_series(archive: Archive) -> None:
    names = []
    for number, bias in enumerate((-1, 0, 1)):
        names.append(f"DSC_{number}.jpg")
        picture = frame(1, 0).point(lambda shade, stops=bias: min(255, shade * 1.2**stops))
        archive.write(names[-1], taken(picture, ExposureTime=2.0**bias / 100))
    assert archive.mirror() == []
    found_by(archive, names)
    assert archive.groups(series=True) == [set(names)]


def test_raw_and_jpeg_of_one_shot_are_no_duplicates(archive: Archive) -> None:
    archive.write("IMG_1.CR3", taken(frame(1, 0), quality=98))
    archive.write("IMG_1.JPG", taken(frame(1, 0), quality=80))
    archive.write("exports/2024/IMG_1.webp", taken(frame(1, 0).resize((160, 120)), kind="WEBP"))
    assert archive.mirror() == [{"IMG_1.JPG", "exports/2024/IMG_1.webp"}]
    assert archive.groups(series=False) == [{"IMG_1.JPG", "exports/2024/IMG_1.webp"}]
    surplus = archive.ok("duplicates", "--surplus", "--kind", "reencoded")
    assert "CR3" not in surplus


def test_companions_in_one_group_are_never_surplus(archive: Archive) -> None:
    """A copy without metadata is like both."""
    archive.write("card/one/IMG_1.CR3", taken(frame(1, 0), quality=98))
    archive.write("IMG_1.JPG", taken(frame(1, 0), quality=80))
    archive.write("copy.jpg", encode(frame(1, 0), quality=60))
    archive.mirror()
    [group] = archive.json("duplicates", "--json")
    assert [image["path"] for image in group["images"]] == [
        *("card/one/IMG_1.CR3", "IMG_1.JPG", "copy.jpg")
    ]
    assert [image["kind"] for image in group["images"]] == [None, "reencoded", "reencoded"]
    surplus = archive.ok("duplicates", "--surplus", "--kind", "reencoded")
    assert surplus == f"{archive.pictures}/copy.jpg\n"


@pytest.mark.parametrize("raw", ["ARW/IMG_1.ARW", "JPG/IMG_1.ARW", "RAW/IMG_1.ARW"])
@pytest.mark.parametrize("export", ["Album/beach.jpg", "Export/beach.jpg", "Web/beach.jpg"])
def test_an_export_of_raw_and_jpeg_is_a_duplicate_of_the_jpeg_alone(
    archive: Archive, raw: str, export: str
) -> None:
    """In whatever order the three are found."""
    archive.write(raw, taken(frame(1, 0), quality=98))
    archive.write("JPG/IMG_1.JPG", taken(frame(1, 0), quality=80))
    archive.write(export, encode(frame(1, 0), quality=60))
    assert archive.mirror() == [{"JPG/IMG_1.JPG", export}]
    assert archive.groups(series=False) == [{"JPG/IMG_1.JPG", export}]


def test_an_export_of_raw_alone_is_a_duplicate_of_it(archive: Archive) -> None:
    archive.write("IMG_1.ARW", taken(frame(1, 0), quality=98))
    archive.write("Export/beach.jpg", encode(frame(1, 0), quality=60))
    assert archive.mirror() == [{"IMG_1.ARW", "Export/beach.jpg"}]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("IMG_1234.jpg", "IMG_E1234.jpg"),
        ("beach.jpg", "beach-edited.jpg"),
        ("beach.jpg", "beach.jpg_original"),
    ],
)
def test_an_edit_beside_its_original_is_no_duplicate(
    archive: Archive, name: str, other: str
) -> None:
    edit = frame(1, 0).point(lambda shade: min(255, round(shade * 1.1)))
    archive.write(name, taken(frame(1, 0)))
    archive.write(other, taken(edit))
    assert archive.mirror() == []
    assert archive.groups("--all", series=False) == []
    archive.write("elsewhere/" + other, taken(edit, quality=60))
    assert len(archive.mirror()) == 1


def test_what_the_metadata_contradicts_is_a_duplicate(archive: Archive) -> None:
    archive.write("IMG_1.CR3", taken(frame(1, 0)))
    archive.write("IMG_1.JPG", taken(frame(1, 0), 3600, quality=80))
    archive.write("scans/a.jpg", taken(frame(2, 0), Model="Scanner A"))
    archive.write("scans/b.jpg", taken(frame(2, 0), 2, Model="Scanner B", quality=80))
    archive.write("web/c.jpg", encode(frame(3, 0)))
    archive.write("web/d.jpg", taken(frame(3, 0), 2))
    assert sorted(archive.mirror(), key=min) == [
        {"IMG_1.CR3", "IMG_1.JPG"},
        {"scans/a.jpg", "scans/b.jpg"},
        {"web/c.jpg", "web/d.jpg"},
    ]


def test_a_frame_with_a_duplicate_leaves_its_series_until_the_duplicate_is_gone(
    archive: Archive,
) -> None:
    names = burst(archive, 4)
    archive.mirror()
    archive.write("best.jpg", taken(frame(1, 2).resize((160, 120)), 1.0))
    assert archive.mirror() == [{"best.jpg", names[2]}]
    assert archive.groups(series=False) == [{"best.jpg", names[2]}]
    assert archive.groups(series=True) == [set(names) - {names[2]}]
    assert archive.run("duplicates", "--exit-code").code == 8
    (archive.pictures / "best.jpg").unlink()
    archive.mirror()
    assert archive.groups(series=True) == [set(names)]


def test_a_backup_of_a_burst_is_alerted_and_its_copies_are_surplus(archive: Archive) -> None:
    names = burst(archive, 3)
    archive.mirror()
    shutil.copytree(archive.pictures, archive.home / "copy")
    shutil.move(archive.home / "copy", archive.pictures / "backup")
    assert len(archive.mirror()) == 3
    assert len(archive.groups(series=False)) == 3
    assert archive.groups(series=True) == []
    assert len(archive.ok("duplicates", "--surplus").splitlines()) == len(names)


def test_a_series_can_be_dismissed_and_restored(archive: Archive) -> None:
    names = burst(archive, 3)
    archive.mirror()
    [group] = archive.json("duplicates", "--json")
    archive.ok("duplicates", "dismiss", "--group", group["group"])
    assert archive.groups(series=True) == []
    archive.ok("duplicates", "restore", "--group", group["group"])
    assert archive.groups(series=True) == [set(names)]


def test_without_the_distinction_all_are_duplicates_and_alerted_once(archive: Archive) -> None:
    names = burst(archive, 3)
    archive.write("RAW/IMG_9.CR3", taken(frame(2, 0), 900, quality=98))
    archive.write("JPG/IMG_9.JPG", taken(frame(2, 0), 900, quality=80))
    assert archive.mirror() == []
    archive.distinguish(series=False, companions=False)
    alerts = archive.mirror()
    assert sorted(len(alert & set(names)) for alert in alerts) == [0, 2]
    assert {"RAW/IMG_9.CR3", "JPG/IMG_9.JPG"} in alerts
    assert sorted(map(len, archive.groups(series=False))) == [2, 3]
    for switched in (True, False):
        archive.distinguish(series=switched, companions=switched)
        assert archive.mirror() == []


def test_a_dry_run_changes_nothing_about_relations(archive: Archive) -> None:
    burst(archive, 3)
    archive.mirror()
    archive.distinguish(series=False)
    archive.ok("resync", "--dry-run")
    assert archive.groups(series=True) != []
