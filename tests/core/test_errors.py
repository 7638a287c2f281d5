"""The tree of errors, and what each says about the next request."""

from __future__ import annotations

import re

import pytest

from snoopsync.core import errors
from snoopsync.core.errors import CollectionError, ConfigError, Problem, SnoopsyncError


def classes_below(root: type) -> set[type]:
    below: set[type] = set(root.__subclasses__())
    return below.union(*(classes_below(each) for each in below))


def tree() -> dict[str, str]:
    """The parent of each class, as the module's docstring draws it."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│ ]*)(├── |└── )?([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4 + bool(match[2])
            above[depth:] = [match[3]]
            if depth:
                parents[match[3]] = above[depth - 1]
    return parents


def test_the_docstring_draws_the_tree_that_exists() -> None:
    ours = {each for each in classes_below(SnoopsyncError) if each.__module__ == errors.__name__}
    assert tree() == {each.__name__: each.__bases__[0].__name__ for each in ours}


@pytest.mark.parametrize("name", ["Refused", "NotFound", "Conflict", "Unauthorized"])
def test_a_refusal_is_permanent(name: str) -> None:
    assert getattr(errors, name)("no").permanent


@pytest.mark.parametrize("name", ["Unreachable", "NotConnected", "Unavailable", "BadAnswer"])
def test_a_failure_is_not_permanent(name: str) -> None:
    error: CollectionError = getattr(errors, name)("no")
    assert not error.permanent
    assert not error.concerns_all
    error.outage = True
    assert error.concerns_all


def test_refused_keys_and_a_full_collection_concern_every_request() -> None:
    assert errors.Unauthorized("no").concerns_all
    assert errors.Unwritable("full").concerns_all


def test_an_error_of_the_collection_begins_with_its_status() -> None:
    assert str(errors.Refused("too large", status=413)) == "413 too large"
    assert str(errors.Unreachable("no answer")) == "no answer"


def test_a_problem_has_its_line_key_and_fix() -> None:
    problems = (Problem("sync.settle", "is empty", 3), Problem("state", "is public", fix="chmod"))
    assert str(ConfigError("c.yaml", problems)).splitlines() == [
        "c.yaml: line 3: sync.settle: is empty",
        "c.yaml: state: is public: chmod",
    ]
