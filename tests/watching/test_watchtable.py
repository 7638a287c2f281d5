"""Which inotify watch stands for which directory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.watching.watchtable import WatchTable

PATHS = [b"", b"a", b"a/b", b"a/b/c", b"ab", b"d"]


def table(**watches: int) -> WatchTable:
    """A table of directories with one-letter names, and their watches."""
    made = WatchTable()
    for name, watch in watches.items():
        made.put(watch, name.encode())
    return made


def test_a_watch_has_the_path_of_its_directory_until_it_is_dropped() -> None:
    watches = table(a=1)
    assert watches.path(1) == b"a"
    assert b"a" in watches
    watches.drop(1)
    assert watches.path(1) is None
    assert b"a" not in watches


def test_dropping_an_unknown_watch_changes_nothing() -> None:
    watches = table(a=1)
    watches.drop(2)
    assert watches.path(1) == b"a"


def test_the_newest_path_of_a_watch_wins() -> None:
    """The directory was renamed."""
    watches = table(a=1)
    assert watches.put(1, b"b") is None
    assert watches.path(1) == b"b"
    assert b"a" not in watches


def test_another_directory_at_a_path_drops_all_watches_at_and_below_the_path() -> None:
    watches = table(a=1, d=4)
    watches.put(2, b"a/b")
    watches.put(3, b"a/b/c")
    assert watches.put(5, b"a") == [1, 2, 3]
    assert (watches.path(5), watches.path(2), watches.path(4)) == (b"a", None, b"d")


def test_a_tree_without_a_watch_of_its_own_is_dropped_by_its_path() -> None:
    watches = table(d=4)
    watches.put(3, b"a/b/c")
    assert watches.drop_tree(b"a") == [3]
    assert b"a/b/c" not in watches
    assert b"d" in watches


def test_a_name_that_begins_with_that_of_a_directory_is_not_below_it() -> None:
    watches = table(a=1, ab=2)
    assert watches.drop_tree(b"a") == [1]
    assert b"ab" in watches


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "drop", "drop_tree"]), st.integers(1, 5), st.sampled_from(PATHS)
        )
    )
)
def test_after_any_changes_watches_and_paths_are_one_for_one(
    changes: list[tuple[str, int, bytes]],
) -> None:
    watches = WatchTable()
    expected: dict[bytes, int] = {}
    for change, watch, path in changes:
        below = [each for each in expected if each == path or is_below(each, path)]
        if change == "put":
            if expected.get(path) != watch:
                expected = {each: other for each, other in expected.items() if other != watch}
                if path in expected:
                    expected = {k: v for k, v in expected.items() if k not in below}
                expected[path] = watch
            watches.put(watch, path)
        elif change == "drop":
            expected = {each: other for each, other in expected.items() if other != watch}
            watches.drop(watch)
        else:
            expected = {each: other for each, other in expected.items() if each not in below}
            watches.drop_tree(path)
        assert {each for each in PATHS if each in watches} == set(expected)
        assert {watch: watches.path(watch) for watch in range(1, 6)} == {
            watch: next((each for each, other in expected.items() if other == watch), None)
            for watch in range(1, 6)
        }


def is_below(path: bytes, directory: bytes) -> bool:
    return path.startswith(directory + b"/") if directory else path != b""
