"""Reading a JSON object entry by entry gives the same result as reading it as a whole."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snoopsync.client.jsonstream import LONGEST_VALUE, read_object
from snoopsync.core.errors import ExcessiveAnswer

MEGABYTE = 1024 * 1024

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def read(pieces: list[bytes]) -> tuple[dict[str, Any] | None, list[Any]]:
    taken: list[Any] = []
    return read_object(pieces, "list", taken.append), taken


def cut(text: bytes, positions: list[int]) -> list[bytes]:
    """Cut the text into pieces."""
    ends = sorted(position % (len(text) + 1) for position in positions)
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@given(
    beside=st.dictionaries(st.text(max_size=5).filter(lambda name: name != "list"), JSON),
    entries=st.lists(JSON, max_size=5),
    positions=st.lists(st.integers(0, 10_000), max_size=8),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)
@example(beside={"a": 1.5e16}, entries=[], positions=[8], indent=None, ascii_only=False)
@example(beside={"a": 1.5e16}, entries=[], positions=[11], indent=None, ascii_only=False)
def test_a_text_in_pieces_gives_the_same_object(
    beside: dict[str, Any], entries: list[Any], positions: list[int], indent: int, ascii_only: bool
) -> None:
    text = json.dumps({**beside, "list": entries}, indent=indent, ensure_ascii=ascii_only)
    assert read(cut(text.encode(), positions)) == ({**beside, "list": []}, entries)


@given(text=st.binary(max_size=40) | st.text(alphabet='{}[]:,"1 list', max_size=20))
def test_anything_but_a_json_object_is_none(text: bytes | str) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    try:
        whole = json.loads(data.decode())
    except (ValueError, RecursionError):
        whole = None
    found, _ = read([data])
    assert (found is not None) == isinstance(whole, dict)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"list": [' + "[" * 50_000, '{"a": ' + "9" * 5000]
)
def test_invalid_json_is_none(text: str) -> None:
    assert read([text.encode()])[0] is None


@pytest.mark.parametrize(
    "text",
    [
        '{"list": [{"kind": "' + "x" * 5 * MEGABYTE + '"}]}',
        '{"kind": "' + "x" * 5 * MEGABYTE + '", "list": []}',
        '{"list": [[' + ",".join(["{}"] * MEGABYTE) + "]]}",
        '{"other": [' + ",".join(["{}"] * MEGABYTE) + "]}",
        "{" + ",".join(f'"{n}": {{}}' for n in range(MEGABYTE // 4)) + "}",
        '{"list": [' + "9" * MEGABYTE,
    ],
    ids=[
        "long text",
        "long text outside the list",
        "long entry",
        "another long list",
        "many names",
        "number",
    ],
)
def test_a_value_of_megabytes_is_refused_before_it_fills_memory(text: str) -> None:
    data = text.encode()
    pieces = (data[at : at + 65536] for at in range(0, len(data), 65536))
    tracemalloc.start()
    try:
        with pytest.raises(ExcessiveAnswer, match="has more than 64 KB"):
            read_object(pieces, "list", lambda _entry: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MEGABYTE


@pytest.mark.integration
def test_the_memory_does_not_grow_with_the_list() -> None:
    entries = 200_000
    count = 0

    def take(_entry: Any) -> None:
        nonlocal count
        count += 1

    def pieces() -> Iterator[bytes]:
        yield b'{"list": [{}'
        for _ in range(entries // 1000):
            yield b', {"id": "some image", "rank": 3}' * 1000
        yield b"]}"

    tracemalloc.start()
    try:
        assert read_object(pieces(), "list", take) == {"list": []}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == entries + 1
    assert peak < MEGABYTE


def test_a_value_of_many_tiny_pieces_is_read() -> None:
    text = json.dumps({"list": ["x" * (LONGEST_VALUE - 2)]})
    found, entries = read([text[at : at + 1].encode() for at in range(len(text))])
    assert found == {"list": []}
    assert len(entries[0]) == LONGEST_VALUE - 2
