"""What the page's scripts get: printable names, and addresses that the page serves."""

from __future__ import annotations

from typing import Any

import pytest

from snoopsync.review.view import format_of, group_view, image_view, printable_json

SHA256 = "ab" * 32


def image(**keys: Any) -> dict[str, Any]:
    """An image as ``status.review_json`` describes it."""
    return {
        "image_id": "tests.a",
        "folder": "photos",
        "path": "2019/a.jpg",
        "label": None,
        **dict.fromkeys(("width", "height", "size_bytes", "modified_at", "kind", "rank")),
        "content": SHA256,
        "is_gone": False,
        "has_file": True,
        **keys,
    }


def test_an_image_has_its_name_its_directory_and_its_addresses() -> None:
    view = image_view(image(), {"tests.a"})
    assert (view["name"], view["directory"]) == ("a.jpg", "2019")
    assert view["thumb"] == f"/thumb/tests.a?v={SHA256[:16]}"
    assert view["picture"] == f"/picture/tests.a?v={SHA256[:16]}"
    assert (view["has_picture"], view["is_marked"], view["sha256"]) == (True, True, SHA256)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/new\nline.jpg", r"new\nline.jpg"),
        ("not utf-8 \udcff.jpg", r"not utf-8 \udcff.jpg"),
        ("bidi \u202egpj.jpg", r"bidi \u202egpj.jpg"),
        ("\x1b[31mred.jpg", r"\x1b[31mred.jpg"),
        ("<img src=x onerror=alert(1)>.jpg", "<img src=x onerror=alert(1)>.jpg"),
        ("日本.jpg", "日本.jpg"),
    ],
)
def test_every_name_is_printable_and_on_one_line(path: str, name: str) -> None:
    view = image_view(image(path=path))
    assert view["name"] == name
    assert all(text.isprintable() for text in view.values() if isinstance(text, str))


def test_an_image_of_another_machine_has_its_label_and_no_addresses() -> None:
    view = image_view(image(folder=None, path=None, label="nas: photos/a\n.jpg", has_file=False))
    assert (view["name"], view["label"]) == (r"a\n.jpg", r"nas: photos/a\n.jpg")
    assert (view["thumb"], view["picture"], view["format"]) == (None, None, None)
    assert image_view(image(path=None, has_file=False))["name"] == "tests.a"


def test_content_that_is_not_a_sha256_is_left_out() -> None:
    assert image_view(image(content=b"tests.a".hex()))["sha256"] is None


@pytest.mark.parametrize(
    ("path", "name"),
    [("a.JPG", "JPEG"), ("a.tif", "TIFF"), ("a.webp", "WebP"), ("a.png", "PNG"), ("a", None)],
)
def test_the_format_is_named_as_people_call_it(path: str, name: str | None) -> None:
    assert format_of(path) == name


def test_texts_of_any_depth_become_printable() -> None:
    assert printable_json({"a\n": ["b\n", {"c": "d\udcff"}, 5, None, True]}) == {
        r"a\n": [r"b\n", {"c": r"d\udcff"}, 5, None, True]
    }


def test_a_group_has_what_the_person_decided_and_nothing_internal() -> None:
    group = {"group": "1", "newest_at": 5.0, "images": [image()], "keep": "tests.a"}
    view = group_view(group, "later", picked="tests.b")
    assert (view["state"], view["picked"], view["keep"]) == ("later", "tests.b", "tests.a")
    assert "newest_at" not in view
    assert view["images"] == [image_view(image())]
