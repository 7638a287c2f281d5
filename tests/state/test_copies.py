"""Images with the same bytes are duplicates of each other, unless one decision names both."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from snoopsync.state.copies import has_open_pair
from snoopsync.state.database import Database
from tests.support.duplicates import Duplicates, like, sha

CONTENT = sha("picture")


@pytest.mark.parametrize(
    ("names", "decisions", "expected"),
    [
        ("a", [], False),
        ("ab", [], True),
        ("ab", ["ab"], False),
        ("abc", ["ab"], True),
        ("abc", ["ab", "bc"], True),
        ("abc", ["ab", "bc", "ac"], False),
        ("abc", ["abc"], False),
        ("abcd", ["abc", "bcd"], True),
    ],
)
def test_a_pair_is_open_unless_a_decision_names_both(
    database: Database, names: str, decisions: Sequence[str], expected: bool
) -> None:
    made = Duplicates(database)
    for name in names:
        made.send(name, "picture")
    for name in names:
        made.search(name, *(like(each, 0, picture="picture") for each in names if each != name))
    for members in decisions:
        made.dismiss(*members)
    assert has_open_pair(database, CONTENT, len(names)) is expected
