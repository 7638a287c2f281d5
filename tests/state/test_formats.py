"""What the collection answered to files of each format."""

from __future__ import annotations

import pytest

from snoopsync.core.model import RelPath
from snoopsync.core.planner import Add
from snoopsync.state.formats import FormatAnswers, error_of_format, format_of
from snoopsync.state.images import State
from tests.support.images_in_state import NOW, apply, due, version

REFUSED = FormatAnswers(refused=("a", "b", "c"), reason="415 no", attempts=1, retry_at=NOW + 25)


def paths(state: State, now: float) -> list[str]:
    return [item.record.rel_path.text for item in due(state, now)]


@pytest.fixture
def images(state: State) -> State:
    """Images with several suffixes, one of them refused for itself and due much later."""
    for number, name in enumerate((b"a.CR3", b"b.cr3", b"c.jpg", b"\xff\n.cr3", b"cr3", b"d.xcr3")):
        apply(state, Add(RelPath("photos", name), f"nas.{number}", version(1, number)))
    state.intents.defer("nas.1", 1, "can't be read", NOW + 3600)
    return state


def test_the_answers_are_stored(state: State) -> None:
    answers = {".cr3": REFUSED, ".jxl": FormatAnswers(accepted=True)}
    state.formats.save(answers)
    assert state.formats.answers() == answers


@pytest.mark.parametrize("text", ["", "[]", "{", '{".cr3": 1}', '{".cr3": {"accepted": true}}'])
def test_damaged_answers_are_forgotten(state: State, text: str) -> None:
    state.set_fact("formats", text)
    assert state.formats.answers() == {}


def test_images_of_a_refused_format_wait_and_no_others(images: State) -> None:
    images.formats.wait(".cr3", REFUSED, NOW)
    assert paths(images, NOW) == ["c.jpg", "cr3", "d.xcr3"]
    assert set(paths(images, NOW + 26)) == {"c.jpg", "cr3", "d.xcr3", "a.CR3", "\udcff\n.cr3"}
    errors = {row.rel_path.text: row.error for row in images.images()}
    assert errors["a.CR3"] == error_of_format(".cr3", "415 no")
    assert errors["b.cr3"] == "can't be read"


def test_an_image_that_was_refused_comes_after_the_others(images: State) -> None:
    images.formats.wait(".cr3", REFUSED, NOW)
    images.formats.take_turn("nas.0", 1, ".cr3", REFUSED)
    images.formats.wait(".cr3", REFUSED, NOW)
    waiting = [path for path in paths(images, NOW + 26) if path.endswith(("CR3", ".cr3"))]
    assert waiting == ["\udcff\n.cr3", "a.CR3"]


def test_released_images_can_be_sent_at_once(images: State) -> None:
    images.formats.wait(".cr3", REFUSED, NOW)
    assert images.formats.release(".cr3", REFUSED) == 2
    assert len(paths(images, NOW)) == 5


def test_the_waiting_images_are_counted_by_folder(images: State) -> None:
    apply(images, Add(RelPath("scans", b"x.cr3"), "nas.9", version(1, 9)))
    images.formats.save({".cr3": REFUSED, ".jxl": FormatAnswers(refused=("a",))})
    images.formats.wait(".cr3", REFUSED, NOW)
    [refused] = images.formats.refused()
    assert (refused.suffix, refused.reason) == (".cr3", "415 no")
    assert refused.waiting == {"photos": 2, "scans": 1}


def test_a_format_is_the_suffix_of_a_kind_of_picture_in_lower_case() -> None:
    assert format_of(RelPath("photos", b"2024/a.b.CR3")) == ".cr3"
    assert format_of(RelPath("photos", b"2024/cr3")) == ""
    assert format_of(RelPath("photos", b"2024/page.17")) == ""
