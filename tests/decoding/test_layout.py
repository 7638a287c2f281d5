"""The answers of decoders as bytes, which are checked as untrusted input."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.errors import Refused
from snoopsync.decoding.layout import InvalidAnswer, pack, pack_refusal, unpack
from tests.decoding.helpers import PLAIN, extract

FEATURES = extract(PLAIN)
ANSWER = pack(FEATURES)
SHA256 = hashlib.sha256(PLAIN).digest()

#: The head, after the tag: see ``layout``.
HEAD = struct.Struct("<8sIIIBBB16sHHHHH")


def changed(place: int, value: object) -> bytes:
    """The answer with another value at this place of its head."""
    head = list(HEAD.unpack_from(ANSWER, 1))
    head[place] = value
    return ANSWER[:1] + HEAD.pack(*head) + ANSWER[1 + HEAD.size :]


def test_features_arrive_as_they_were_sent() -> None:
    assert unpack(ANSWER, SHA256, len(PLAIN)) == FEATURES


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"PDF"),
        (0, b"\xff"),
        (1, 0),
        (2, 0),
        (3, 0),
        (4, 101),
        (5, 16),
        (6, 101),
        (8, 32),
        (9, 1),
        (10, 1),
        (11, 4095),
        (12, 12),
        (12, 363),
    ],
)
def test_an_impossible_value_makes_the_answer_invalid(place: int, value: object) -> None:
    assert unpack(changed(place, HEAD.unpack_from(ANSWER, 1)[place]), SHA256, 1)  # as it was
    with pytest.raises(InvalidAnswer):
        unpack(changed(place, value), SHA256, len(PLAIN))


@pytest.mark.parametrize("answer", [ANSWER[:-1], ANSWER + b"x", ANSWER[:20], b"F", b"R", b"X", b""])
def test_an_answer_of_another_length_or_kind_is_invalid(answer: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        unpack(answer, SHA256, len(PLAIN))


@given(st.binary(max_size=200) | st.binary(max_size=200).map(b"R".__add__))
def test_any_bytes_are_features_a_refusal_or_invalid(answer: bytes) -> None:
    with pytest.raises((Refused, InvalidAnswer)):
        unpack(answer, SHA256, 1)


def test_a_refusal_arrives_with_its_status_and_reason() -> None:
    with pytest.raises(Refused, match="too large") as refused:
        unpack(pack_refusal(Refused("too large", status=413)), SHA256, 1)
    assert refused.value.status == 413


@pytest.mark.parametrize("status", [0, 200, 401, 500])
def test_a_refusal_cannot_have_any_other_status(status: int) -> None:
    with pytest.raises(Refused) as refused:
        unpack(b"R" + struct.pack("<H", status) + b"why", SHA256, 1)
    assert refused.value.status == 415


def test_the_reason_of_a_refusal_is_one_printable_line() -> None:
    with pytest.raises(Refused) as refused:
        unpack(b"R\x9f\x01" + b"a\nb\x1b[2J" + b"x" * 9000, SHA256, 1)
    assert refused.value.message.startswith("a?b?[2J")
    assert len(refused.value.message) == 2000
