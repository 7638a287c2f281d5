"""Malformed and oversized requests are refused with a sentence, and without a traceback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.routing import Route

from tests.review.conftest import mirrored, path_of
from tests.support.page_client import PageClient
from tests.support.process import Installation


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """One for all tests: none of them changes anything."""
    return mirrored(tmp_path_factory.mktemp("home"))


def test_malformed_bodies_are_refused_with_a_sentence(
    client: PageClient, routes: list[Route], capfd: pytest.CaptureFixture[str]
) -> None:
    bodies: list[bytes] = [
        *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 9999),
        *(b'{"decision": "keep"}', b'{"decision": "keep", "groups": 1}', b'{"decision": 7}'),
        b'{"decision": "keep", "groups": [1]}',
        b'{"decision": "keep", "groups": [{"group": 1, "version": "x"}]}',
        b'{"decision": "keep", "groups": [{"group": "1"}]}',
        b'{"decision": "keep", "groups": [{"group": "1", "version": [], "keep": {}}]}',
        b'{"decision": "keep", "groups": [{"group": "1", "version": "x", "keep": "\\ud800"}]}',
        b'{"decision": "keep", "filter": {"kind": "x"}, "image_ids": [1], "folder": 1}',
        b'{"decision": "keep", "filter": 5, "image_ids": "a", "folder": "\\ud800"}',
        b'{"decision": "keep", "filter": {"max_rank": -1}, "image_ids": [null], "folder": ""}',
        b'{"decision": "keep", "preview": false, "image_ids": [["a"]], "digest": 5, "folder": {}}',
    ]
    changing = [route for route in routes if "POST" in (route.methods or ())]
    harmless = ("/api/undo", "/api/search", "/api/marked/trash")
    for route in changing:
        for body in bodies:
            headers = {"Content-Type": "application/json"}
            answer = client.send("POST", path_of(route), headers, data=body)
            is_object = body.startswith(b'{"decision": ')
            if route.path in harmless and is_object:
                continue
            assert 400 <= answer.status_code < 500, (route.path, body[:80], answer.status_code)
            assert answer.json()["error"]
    for media_type in ("text/plain", "application/x-www-form-urlencoded", None):
        answer = client.send("POST", "/api/decide", {"Content-Type": media_type}, data=b"{}")
        assert answer.status_code == 415
    assert "Traceback" not in capfd.readouterr().err


def test_malformed_parameters_are_refused(client: PageClient) -> None:
    for query in (
        *("count=0", "count=x", "count=999", "state=x", "kind=x", "sort=x", "max_rank=x"),
        *("max_rank=-1", "after=x", "after=1:x", "after=nan:1", "state=dismissed&after=1:2"),
        *("ids=x", "ids=1,,-2", "ids=" + "1," * 300, "folder=" + "x" * 2000, "after=1e999:1"),
    ):
        answer = client.send("GET", f"/api/groups?{query}")
        assert answer.status_code == 400, query
    for into in ("", "relative", "%00", "/" + "x" * 5000):
        assert client.send("GET", f"/api/marked/script?into={into}").status_code == 400


def test_a_body_that_is_too_large_is_refused(client: PageClient) -> None:
    large = b'{"decision": "' + b"x" * (9 << 20) + b'"}'
    headers = {"Content-Type": "application/json"}

    def pieces() -> Iterator[bytes]:
        yield large  # sent in chunks, so that its length is not announced

    for body in (large, pieces()):
        answer = client.send("POST", "/api/decide", headers, data=body)
        assert answer.status_code == 413
