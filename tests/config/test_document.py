"""YAML read into values that know their key and line."""

from __future__ import annotations

import pytest

from snoopsync.config.settings import DuplicatesConfig, LogConfig, SyncConfig
from tests.config.helpers import FOLDERS, Home


def test_a_key_or_section_without_a_value_has_its_default(home: Home) -> None:
    config = home.load(FOLDERS + "log: {file: }\nsync:\nduplicates: {log: null}\n")
    assert (config.log, config.sync, config.duplicates) == (
        LogConfig(),
        SyncConfig(),
        DuplicatesConfig(),
    )


def test_anchors_and_aliases_are_fine(home: Home) -> None:
    one, two = home.load(
        "folders:\n- {path: a, exclude: &no [x/]}\n- {path: b, exclude: *no}"
    ).folders
    assert one.exclude == two.exclude == ("x/",)


def test_all_problems_are_reported_in_the_files_order(home: Home) -> None:
    problems = home.problems(
        "sync: {settle: 1, settle: 2, workers: many}\n"
        "log:\n  lvel: info\n  format: xml\n"
        "folders:\n"
        "  - path: /srv/a\n    watch: never\n"
        "  - path: /srv/b/../a/b\n    name: a\n"
        "  - name: c\n"
        "state: 7\n"
        "extra: 1\n"
    )
    assert [(problem.line, problem.key) for problem in problems] == [
        (1, "sync.settle"),
        (1, "sync.workers"),
        (3, "log.lvel"),
        (4, "log.format"),
        (7, "folders[0].watch"),
        (8, "folders[1].path"),
        (9, "folders[1].name"),
        (10, "folders[2]"),
        (11, "state"),
        (12, "extra"),
    ]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", None, "is empty"),
        ("# nothing\n---\n", 3, "must be a mapping with keys"),
        ("- a", 1, "must be a mapping with keys such as folders:, not a list"),
        ("a: b\nc: [d", 2, "is not YAML"),
        ("a: b\n\tc: d", 2, "cannot start any token"),
        ("a: 1\n---\nb: 1\n", 2, "is not YAML"),
        ("a: *nowhere", 1, "is not YAML: found undefined alias"),
        (b"a: 1\nb: caf\xe9\n", 2, "is not UTF-8"),
        ("a: é\nb: \x07\n", 2, "contains a control character"),
        ("[" * 5000, None, "is nested too deeply"),
        ("#" * (1 << 20) + "\n", None, "is larger than 1 MiB"),
    ],
)
def test_a_file_that_is_not_a_configuration_is_refused_with_its_line(
    home: Home, content: str | bytes, line: int | None, message: str
) -> None:
    problem = home.problem(content)
    assert (problem.key, problem.line) == ("file", line)
    assert message in problem.message


def test_aliases_of_aliases_take_no_time(home: Home) -> None:
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert len(home.problems("\n".join(["a0: &a0 [x]", *rows, "folders: *a29"]))) > 30


def test_a_value_that_contains_itself_is_refused(home: Home) -> None:
    problems = home.problems("folders: &f\n- path: a\n  exclude: *f\n- *f\n")
    assert {problem.key for problem in problems} == {
        "folders[0].exclude[0]",
        "folders[0].exclude[1]",
        "folders[1]",
    }
