"""The labels that images are sent with."""

from __future__ import annotations

import pytest

from snoopsync.core.errors import Refused
from snoopsync.core.labels import (
    LABEL_BYTES,
    Labelling,
    check_label,
    decode_label,
    encode_label,
    label_of,
)
from snoopsync.core.model import RelPath

LABELS = [
    "nas: photos/a.jpg",
    "é 写真 🖼",
    "%41",
    "a+b &?#/;=",
    '"',
    "e\u0301",
    "x" * 512,
    "写" * 170,
]


def test_a_label_is_the_host_the_folder_and_the_path() -> None:
    assert label_of("nas", RelPath("photos", b"2024/a b.jpg")) == "nas: photos/2024/a b.jpg"


def test_without_a_host_there_is_no_label() -> None:
    assert Labelling().label_of(RelPath("photos", b"a.jpg")) is None


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"a\xff.jpg", "a\ufffd.jpg"),
        (b"a\n\x7f.jpg", "a\ufffd\ufffd.jpg"),
        ("a\x85.jpg".encode(), "a\ufffd.jpg"),
        ("é写.jpg".encode(), "é写.jpg"),
    ],
)
def test_bytes_that_are_not_text_and_control_characters_are_replaced(
    path: bytes, shown: str
) -> None:
    label = label_of("nas", RelPath("photos", path))
    assert label == f"nas: photos/{shown}"
    check_label(label)


@pytest.mark.parametrize("char", ["x", "é", "写", "🖼"])
def test_a_long_label_is_cut_at_the_front_between_characters(char: str) -> None:
    for extra in range(5):
        path = ("y" * extra + char * 600 + "end.jpg").encode()
        label = label_of("nas", RelPath("photos", path))
        assert label.startswith("…" + char) and label.endswith(char + "end.jpg")
        assert LABEL_BYTES - len(char.encode()) < len(label.encode()) <= LABEL_BYTES
        check_label(label)


def test_a_label_of_exactly_the_largest_size_is_not_cut() -> None:
    prefix = len("nas: photos/")
    assert label_of("nas", RelPath("photos", b"x" * (LABEL_BYTES - prefix))).startswith("nas: ")
    assert label_of("nas", RelPath("photos", b"x" * (LABEL_BYTES - prefix + 1))).startswith("…")


@pytest.mark.parametrize("label", LABELS)
def test_a_label_arrives_unchanged_in_a_header(label: str) -> None:
    header = encode_label(label)
    assert header.isascii() and header.isprintable() and " " not in header
    assert decode_label(header) == label


def test_an_empty_header_is_no_label() -> None:
    assert decode_label("") is None


@pytest.mark.parametrize("header", ["%ff", "%E5%86", "%ED%A0%80", "%0A", "a%00", "%7F", "%C2%85"])
def test_invalid_utf_8_and_control_characters_are_refused(header: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_label(header)
    assert caught.value.status == 400


@pytest.mark.parametrize("label", ["x" * 513, "写" * 171, "\ud800"])
def test_a_label_that_is_too_long_or_not_text_is_refused(label: str) -> None:
    with pytest.raises(Refused) as caught:
        check_label(label)
    assert caught.value.status == 400
