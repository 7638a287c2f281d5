"""Hints collapse on the way, and never become finer or fewer than what happened."""

from __future__ import annotations

from snoopsync.watching.hints import MAX_DIRECTORIES, MAX_NAMES, HintBox, Hints, NameChange


def never(directory: bytes, name: bytes) -> bool:
    raise AssertionError(f"nobody needs to know whether {name!r} is gone")


def gone(directory: bytes, name: bytes) -> bool:
    return True


def there(directory: bytes, name: bytes) -> bool:
    return False


def test_an_empty_box_has_no_hints() -> None:
    box = HintBox()
    assert not box.waiting
    assert not box.take(never)


def test_taking_empties_the_box() -> None:
    box = HintBox()
    box.name(b"a", b"x", NameChange.ENTERED)
    box.tree(b"t")
    box.root_gone()
    assert box.waiting
    assert box.take(never) == Hints({b"a": frozenset({b"x"})}, frozenset({b"t"}), root_gone=True)
    assert not box.waiting
    box.everything()
    assert box.take(never) == Hints(everything=True)
    assert not box.take(never)


def test_many_names_become_their_directory() -> None:
    box = HintBox()
    for number in range(MAX_NAMES):
        box.name(b"a", b"%d" % number, NameChange.ENTERED)
    assert len(box.take(never).directories[b"a"] or ()) == MAX_NAMES
    for number in range(MAX_NAMES + 1):
        box.name(b"a", b"%d" % number, NameChange.ENTERED)
    box.name(b"a", b"one more", NameChange.ENTERED)
    assert box.take(never).directories == {b"a": None}


def test_a_whole_directory_stays_whole() -> None:
    box = HintBox()
    box.directory(b"a")
    box.name(b"a", b"x", NameChange.ENTERED)
    assert box.take(never).directories == {b"a": None}
    box.name(b"a", b"x", NameChange.ENTERED)
    box.directory(b"a")
    assert box.take(never).directories == {b"a": None}


def test_too_many_directories_become_everything() -> None:
    box = HintBox()
    for number in range(MAX_DIRECTORIES):
        box.tree(b"%d" % number)
    assert not box.take(never).everything
    for number in range(MAX_DIRECTORIES):
        box.tree(b"%d" % number)
    box.directory(b"one more")
    box.name(b"and", b"another", NameChange.ENTERED)
    assert box.take(never) == Hints(everything=True)


def test_the_tree_of_the_folder_itself_is_everything() -> None:
    box = HintBox()
    box.tree(b"")
    assert box.take(never) == Hints(everything=True)


def test_a_hint_about_a_tree_includes_the_names_below() -> None:
    box = HintBox()
    for path in (b"a/b", b"a/b/c", b"a/b/c/d", b"a/bc"):
        box.tree(path)
    for path in (b"a", b"a/b", b"a/b/x", b"a/bb"):
        box.directory(path)
    hints = box.take(never)
    assert hints.trees == {b"a/b", b"a/bc"}
    assert set(hints.directories) == {b"a", b"a/bb"}


def test_a_write_to_a_renamed_file_is_a_hint_about_the_directory() -> None:
    box = HintBox()
    box.name(b"a", b"#123", NameChange.WRITTEN)
    box.name(b"a", b"x", NameChange.ENTERED)
    assert box.take(gone).directories == {b"a": None}
    box.name(b"a", b"x", NameChange.WRITTEN)
    assert box.take(there).directories == {b"a": frozenset({b"x"})}


def test_an_entry_created_before_a_write_or_removed_after_it_is_the_file() -> None:
    box = HintBox()
    box.name(b"a", b"x", NameChange.WRITTEN)
    box.name(b"a", b"x", NameChange.LEFT)
    box.name(b"a", b"y", NameChange.ENTERED)
    box.name(b"a", b"y", NameChange.WRITTEN)
    assert box.take(never).directories == {b"a": frozenset({b"x", b"y"})}


def test_a_write_after_the_removal_of_its_entry_is_a_hint_about_the_directory() -> None:
    box = HintBox()
    box.name(b"a", b"x", NameChange.LEFT)
    box.name(b"a", b"x", NameChange.WRITTEN)
    box.name(b"a", b"x", NameChange.ENTERED)
    assert box.take(there).directories == {b"a": None}


def test_a_write_before_the_creation_of_its_entry_is_a_hint_about_the_directory() -> None:
    box = HintBox()
    box.name(b"a", b"x", NameChange.WRITTEN)
    box.name(b"a", b"x", NameChange.ENTERED)
    assert box.take(there).directories == {b"a": None}
