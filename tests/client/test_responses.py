"""The meaning of responses. No response raises anything but a typed error."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.client import lists, responses
from snoopsync.client.collection import Collection
from snoopsync.client.responses import Response
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    Conflict,
    ExcessiveAnswer,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
    Unwritable,
)
from snoopsync.core.protocol import ChangesAnswer
from tests.support.hosted import hosted

NOW = 1422218585.0


def answer(
    status: int = 200, body: bytes = b"", reason: str = "Reason", **headers: str
) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, reason, named, body)


@pytest.mark.parametrize(
    ("status", "kind", "permanent"),
    [
        (304, BadAnswer, False),
        (400, Refused, True),
        (401, Unauthorized, True),
        (403, Unauthorized, True),
        (404, NotFound, True),
        (408, Unavailable, False),
        (409, Conflict, True),
        (410, Refused, True),
        (413, Refused, True),
        (415, Refused, True),
        (425, Unavailable, False),
        (429, Unavailable, False),
        (500, Unavailable, False),
        (503, Unavailable, False),
        (507, Unwritable, False),
        (599, Unavailable, False),
    ],
)
def test_the_status_decides_the_type_of_a_refusal(
    status: int, kind: type[CollectionError], permanent: bool
) -> None:
    error = responses.error_of(answer(status, b'{"status": 200, "message": "all is well"}'), NOW)
    assert type(error) is kind
    assert (error.status, error.permanent) == (status, permanent)
    assert str(error).startswith(f"{status} all is well")


@pytest.mark.parametrize("status", [200, 201, 204])
def test_no_2xx_is_a_refusal(status: int) -> None:
    assert responses.error_of(answer(status, b'{"status": 500}'), NOW) is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("-5", 0.0),
        ("9" * 400, responses.LONGEST_RETRY_AFTER_SECONDS),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Sun, 25 Jan 2015 21:43:15 +0100", 10.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", responses.LONGEST_RETRY_AFTER_SECONDS),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    error = responses.error_of(answer(503, Retry_After=header), NOW)
    assert error is not None
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": "no such\\r\\nimage"}', "no such"),
        (b'{"message": "\\u001b[31mred\\u0007"}', "[31mred"),
        (b'{"message": ""}', "Reason"),
        (b'{"message": 3}', "Reason"),
        (b'["message"]', "Reason"),
        (b"<html>", "Reason"),
        (b"[" * 100_000, "Reason"),
        (b"\xff\xfe", "Reason"),
        (json.dumps({"message": "x" * 1000}).encode(), "x" * 200 + "…"),
    ],
)
def test_the_message_is_one_printable_line(body: bytes, message: str) -> None:
    assert responses.message_of(answer(400, body)) == message


def test_the_text_is_the_message_where_no_reason_exists() -> None:
    assert responses.message_of(answer(400, b"\n\n go away \nfor good", reason="")) == "go away"
    assert responses.message_of(answer(400, b"", reason="")) == "no reason"


def test_a_wrong_clock_is_named_with_refused_keys() -> None:
    error = responses.error_of(answer(401, Date=formatdate(NOW - 3600, usegmt=True)), NOW)
    assert str(error) == "401 Reason (this clock is 3600 s ahead of the service's)"
    error = responses.error_of(answer(401, Date=formatdate(NOW - 5, usegmt=True)), NOW)
    assert str(error) == "401 Reason"


def search(given: Response) -> Any:
    return lists.parse_search(given, "c")


def listing(given: Response) -> Any:
    return lists.parse_listing(given, "c")


IMAGE = {"collection_id": "c", "image_id": "i", "image_time": "t"}
LINE = {"id": "i", "image_time": "t"}
READERS: list[tuple[Callable[[Response], Any], dict[str, Any]]] = [
    (responses.parse_session, {"collection_id": "c", "collection_name": "n", "user": "u"}),
    (lambda given: responses.parse_image(given, "i", "c"), IMAGE),
    (lambda given: responses.parse_changed_image(given, "i", "c"), IMAGE),
    (search, {"collection_id": "c", "results": [{"id": "i", "rank": 0}]}),
    (
        lambda given: lists.parse_search_by_id(given, "i", "c"),
        {**IMAGE, "results": [{"id": "i", "rank": 0}]},
    ),
    (listing, {"collection_id": "c", "images": [{"id": "i", "image_time": "t"}]}),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(("read", "good"), READERS)
def test_a_complete_answer_is_read(read: Callable[[Response], Any], good: dict[str, Any]) -> None:
    read(answer(body=json.dumps(good).encode()))


@pytest.mark.parametrize(("read", "good"), READERS)
@given(data=st.data())
def test_any_json_in_any_place_is_an_answer_or_a_bad_answer(
    read: Callable[[Response], Any], good: dict[str, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from([*good, "next_image_id", "message", "status"]))
    value = data.draw(JSON)
    for found in ({**good, key: value}, {k: v for k, v in good.items() if k != key}, value):
        try:
            read(answer(body=json.dumps(found).encode()))
        except BadAnswer as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(("read", "good"), READERS)
@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b'{"collection_id": "c"', b"[]", b"null", b"\xff", b"[" * 10**5]
)
def test_anything_but_a_json_object_is_a_bad_answer(
    read: Callable[[Response], Any], good: dict[str, Any], body: bytes
) -> None:
    with pytest.raises(BadAnswer, match="not the collection's JSON"):
        read(answer(body=body))


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (listing, {"collection_id": "c", "images": None}),
        (listing, {"collection_id": "c", "images": [{"id": 3, "image_time": "t"}]}),
        (listing, {"collection_id": "c", "images": ["i"]}),
        (listing, {"collection_id": "c", "images": [], "next_image_id": 3}),
        (search, {"collection_id": "c", "results": [{"id": 3}]}),
        (search, {"collection_id": "c", "results": [{"id": "i", "rank": True}]}),
        (search, {"collection_id": "c", "results": [{"id": "i", "rank": "0"}]}),
        (
            lambda given: responses.parse_image(given, "i", "c"),
            {"collection_id": "c", "image_id": "i"},
        ),
        (search, {"collection_id": "c"}),
        (listing, {"collection_id": "c"}),
        (listing, {"collection_id": 3, "images": []}),
        (responses.parse_session, {"collection_id": "c", "collection_name": "n", "user": None}),
    ],
)
def test_a_missing_key_or_a_wrong_type_is_a_bad_answer(
    read: Callable[[Response], Any], found: object
) -> None:
    with pytest.raises(BadAnswer, match="no valid"):
        read(answer(body=json.dumps(found).encode()))


@pytest.mark.parametrize(
    ("read", "needed"),
    [
        (search, {"results": [{"id": "i", "rank": 0}]}),
        (lambda given: lists.parse_search_by_id(given, "i", "c"), {"results": []}),
        (listing, {"images": [{"id": "i", "image_time": "t"}], "next_image_id": None}),
        (lambda given: responses.parse_image(given, "i", "c"), {"image_time": "t"}),
    ],
)
def test_an_answer_may_omit_values_of_the_request(
    read: Callable[[Response], Any], needed: dict[str, Any]
) -> None:
    found = read(answer(body=json.dumps(needed).encode()))
    assert found.items() >= needed.items()
    assert found["collection_id"] == "c"
    assert found.get("image_id", "i") == "i"


def test_an_empty_body_after_a_change_is_filled_from_the_request() -> None:
    assert responses.parse_changed_image(answer(201, reason="Created"), "i", "c") == {
        "status": 201,
        "message": "Created",
        "collection_id": "c",
        "image_id": "i",
        "image_time": "",
    }


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"{}"),
        (201, b"{}"),
        (200, b'{"message": "Welcome"}'),
        (200, b'{"status": "ok", "message": "Welcome"}'),
        (200, b'{"status": 500, "message": "Internal Error"}'),
        (200, b'{"image_id": "another"}'),
        (200, b'{"status": 200, "message": "Updated", "image_id": "another"}'),
    ],
)
def test_a_status_200_alone_does_not_confirm_a_change(status: int, body: bytes) -> None:
    with pytest.raises(BadAnswer):
        responses.parse_changed_image(answer(status, body), "i", "c")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b""),
        (204, b""),
        (200, b'{"image_id": "i"}'),
        (200, b'{"status": 200, "message": "Updated"}'),
        (202, b'{"status": 202, "message": "Later"}'),
    ],
)
def test_a_short_answer_of_the_collection_confirms_a_change(status: int, body: bytes) -> None:
    assert responses.parse_changed_image(answer(status, body), "i", "c")["image_id"] == "i"


def test_an_answer_about_another_image_is_a_bad_answer() -> None:
    other = json.dumps({**IMAGE, "image_id": "other"}).encode()
    with pytest.raises(BadAnswer, match="another image: 'other'"):
        responses.parse_image(answer(body=other), "i", "c")


@pytest.mark.parametrize(
    ("body", "is_so"),
    [
        (b'{"status": 404, "message": "no such image"}', True),
        (b'{"status": 200, "message": "no such image"}', False),
        (b'{"message": "Not Found"}', False),
        (b'{"status": 404}', False),
        (b'{"detail": "Not Found"}', False),
        (b"404 page not found", False),
        (b"", False),
        (b"[]", False),
    ],
)
def test_the_collections_answers_have_their_status_and_a_message(body: bytes, is_so: bool) -> None:
    assert responses.is_from_collection(answer(404, body)) is is_so


def test_an_answer_from_elsewhere_is_shown_with_advice() -> None:
    for body, shown in ((b"<html>\nhello", "'<html>'"), (b"", "nothing"), (b"[1]", "'[1]'")):
        with pytest.raises(BadAnswer, match=r"is collection\.endpoint right") as caught:
            responses.parse_session(answer(body=body))
        assert f"but {shown}:" in str(caught.value)
    moved = responses.error_of(answer(302, Location="http://login.test/\r\nX: y"), NOW)
    assert str(moved).startswith("302 Reason, to http://login.test/: is collection.endpoint right")


#: JSON can contain one half of a surrogate pair, which is no valid text.
NO_TEXT = "\ud800"


@pytest.mark.parametrize(("read", "good"), READERS)
def test_invalid_text_is_a_bad_answer(
    read: Callable[[Response], Any], good: dict[str, Any]
) -> None:
    """Such a text can be neither stored nor shown."""
    for key in [key for key, value in good.items() if isinstance(value, str)]:
        with pytest.raises(BadAnswer, match=key) as caught:
            read(answer(body=json.dumps({**good, key: NO_TEXT}).encode()))
        str(caught.value).encode()


@pytest.mark.parametrize("image_id", ["", "x" * 101, NO_TEXT, "a" + NO_TEXT])
def test_an_invalid_id_is_left_out(image_id: str) -> None:
    """No request can name it. It must not stop the comparison of the others."""
    lines = [{"id": each, "image_time": "t"} for each in ("a", image_id, "b")]
    found = listing(answer(body=json.dumps({"images": lines}).encode()))
    assert [image["id"] for image in found["images"]] == ["a", "b"]
    matches = [{"id": each, "rank": 3} for each in ("a", image_id, "b")]
    results = search(answer(body=json.dumps({"results": matches}).encode()))["results"]
    assert [match["id"] for match in results] == ["a", "b"]


@pytest.mark.parametrize("image_id", ["x" * 100, "\U0001f4f7", "new\nline", "nul\0", "../..", "%"])
def test_any_other_text_is_a_valid_id(image_id: str) -> None:
    found = listing(answer(body=json.dumps({"images": [{**LINE, "id": image_id}]}).encode()))
    assert [image["id"] for image in found["images"]] == [image_id]


@pytest.mark.parametrize("rank", [-1, -(10**30)])
def test_a_rank_below_the_same_picture_is_a_bad_answer(rank: int) -> None:
    body = json.dumps({"results": [{"id": "a", "rank": rank}]}).encode()
    with pytest.raises(BadAnswer, match="rank"):
        search(answer(body=body))


def test_an_empty_next_image_id_ends_the_listing() -> None:
    assert listing(answer(body=b'{"images": [], "next_image_id": ""}'))["next_image_id"] is None


@given(header=st.text(max_size=40))
def test_any_text_in_a_header_is_a_time_or_none(header: str) -> None:
    found = responses.retry_after(answer(503, Retry_After=header), NOW)
    assert found is None or 0 <= found <= responses.LONGEST_RETRY_AFTER_SECONDS
    str(responses.error_of(answer(401, Date=header), NOW)).encode()


def test_an_empty_body_lacks_the_id_that_the_service_made() -> None:
    with pytest.raises(BadAnswer, match="image_id"):
        responses.parse_changed_image(answer(201), None, "c")


def test_optional_fields_of_other_types_are_left_out() -> None:
    odd = {"kind": 3, "sha256": None, "width": "wide", "height": -1, "size_bytes": 2**63}
    usable = {"kind": "cropped", "sha256": "0a" * 32, "width": 4, "height": 3, "size_bytes": 9}
    matches = [{"id": "a", "rank": 3, **odd}, {"id": "b", "rank": 3, **usable}]
    matches += [{"id": "c", "rank": 3, "asked": {"width": True, "height": 4}}]
    matches += [{"id": "d", "rank": 3, "asked": [1]}]
    evidence = {"camera": 1, "jpeg_quality": "high", "lossless": True, "resaved": None}
    matches += [{"id": "e", "rank": 3, "evidence": evidence, "asked": {"evidence": "none"}}]
    body = {"collection_id": "c", "results": matches, "partial": "yes", "outdated": True}
    found = search(answer(body=json.dumps(body).encode()))
    assert found["results"] == [
        {"id": "a", "rank": 3},
        {"id": "b", "rank": 3, **usable},
        {"id": "c", "rank": 3, "asked": {"height": 4}},
        {"id": "d", "rank": 3},
        {"id": "e", "rank": 3, "evidence": {"lossless": True}, "asked": {}},
    ]
    assert "partial" not in found and found.get("outdated") is True


def test_a_session_may_contain_the_number_of_outdated_images() -> None:
    for value, number in ((7, 7), (0, 0), (None, None), (-1, None), (True, None), ("7", None)):
        body = {"collection_id": "c", "collection_name": "n", "user": "u", "outdated": value}
        assert responses.parse_session(answer(body=json.dumps(body).encode())).outdated == number


@pytest.mark.parametrize(
    "odd", [{"ids": 3}, {"ids": [3]}, {"ids": [], "next": 3}, {"ids": [], "total": "many"}]
)
def test_an_invalid_page_of_outdated_images_is_a_bad_answer(odd: dict[str, object]) -> None:
    whole = {"collection_id": "c", "ids": ["a"], "next": None, "total": None}
    assert lists.parse_outdated(answer(body=json.dumps(whole).encode()), "c")["ids"] == ["a"]
    with pytest.raises(BadAnswer):
        lists.parse_outdated(answer(body=json.dumps(whole | odd).encode()), "c")


def changed(**odd: object) -> dict[str, object]:
    return {"id": "us.a", "match": "them.b", "rank": 3, "kind": "edited", "label": "PC: b", **odd}


def changes(*pairs: object, **odd: object) -> ChangesAnswer:
    whole = {"collection_id": "c", "pairs": list(pairs), "next": 7, **odd}
    return lists.parse_changes(answer(body=json.dumps(whole).encode()), "c", "us")


def test_only_the_known_fields_of_changes_are_kept() -> None:
    page = changes(
        changed(more=3), changed(kind="new", label=3), changed(kind=None, label="\ud800")
    )
    assert page["next"] == 7
    assert page["pairs"] == [changed(), *[changed(kind=None, label=None)] * 2]
    long = "é" * 256
    labels = [
        page["label"] for page in changes(changed(label=long), changed(label=long + "x"))["pairs"]
    ]
    assert labels == [long, None]


@pytest.mark.parametrize(
    "odd",
    [
        *({"id": "them.c"}, {"id": "us"}, {"match": "us.b"}, {"match": ""}, {"match": "x" * 101}),
        *({"rank": -1}, {"rank": 2**31}),
    ],
)
def test_changes_of_impossible_images_are_left_out(odd: dict[str, object]) -> None:
    assert changes(changed(**odd), changed())["pairs"] == [changed()]


@pytest.mark.parametrize(
    "odd",
    [
        *({"pairs": 3}, {"pairs": [3]}, {"pairs": [{}]}, {"pairs": [changed(rank="3")]}),
        *({"pairs": [changed(id=None)]}, {"pairs": [changed(match="\ud800")]}),
        *(
            {"next": None},
            {"next": "7"},
            {"next": 7.0},
            {"next": True},
            {"next": -1},
            {"next": 2**63},
        ),
    ],
)
def test_an_invalid_page_of_changes_is_a_bad_answer(odd: dict[str, object]) -> None:
    with pytest.raises(BadAnswer):
        changes(**odd)


def test_a_page_of_too_many_changes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST_CHANGED_PAIRS", 3)
    assert len(changes(*[changed()] * 3)["pairs"]) == 3
    with pytest.raises(ExcessiveAnswer):
        changes(*[changed(rank=-1)] * 4)


@pytest.mark.parametrize("call", ["id", "images"])
def test_an_endpoint_without_its_path_suggests_the_usual_path(tmp_path: Path, call: str) -> None:
    with hosted(tmp_path) as service:
        bare = service.endpoint.removesuffix("/api/v1")
        with Collection(*service.keys("a"), bare) as client, pytest.raises(CollectionError) as bad:
            client.id if call == "id" else client.get_images()
    assert f"collection.endpoint lacks its path, try {bare}/api/v1" in str(bad.value)
