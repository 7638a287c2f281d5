"""Which labels are due."""

from __future__ import annotations

from snoopsync.core.model import RelPath
from snoopsync.core.planner import Add, Adopt, Rename
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from tests.support.images_in_state import NOW, ONE, A, B, C, apply, version

HOST = "nas"


def add(state: State, image_id: str, rel_path: RelPath, *, is_labelled: bool | None = None) -> None:
    apply(state, Add(rel_path, image_id, version(1)))
    sent = Sent(image_id, 1, ONE, None, is_labelled)
    state.intents.confirm(sent, NOW)
    state.labels.note_sent(sent, rel_path)


def due(state: State) -> list[tuple[str, RelPath]]:
    return state.labels.due("", 10)


def test_without_shared_names_nothing_is_due(state: State) -> None:
    state.labels.use("")
    add(state, "a", A)
    apply(state, Rename(B, "a", version(1), A))
    assert due(state) == []


def test_a_change_of_the_setting_makes_all_labels_due_once(state: State) -> None:
    add(state, "a", A)
    add(state, "b", B)
    for host in (HOST, "attic", ""):
        state.labels.use(host)
        assert due(state) == [("a", A), ("b", B)]
        for image_id, rel_path in due(state):
            state.labels.confirm(image_id, rel_path)
        state.labels.use(host)
        assert due(state) == []


def test_due_labels_are_read_in_parts(state: State) -> None:
    add(state, "a", A)
    add(state, "b", B)
    state.labels.use(HOST)
    assert state.labels.due("", 1) == [("a", A)]
    assert state.labels.due("a", 1) == [("b", B)]
    assert state.labels.due("b", 1) == []


def test_a_rename_makes_a_label_due_until_the_new_one_is_confirmed(state: State) -> None:
    state.labels.use(HOST)
    add(state, "a", A, is_labelled=True)
    assert due(state) == []
    apply(state, Rename(B, "a", version(1), A))
    assert due(state) == [("a", B)]
    state.labels.confirm("a", A)
    assert due(state) == [("a", B)]
    state.labels.confirm("a", B)
    assert due(state) == []


def test_the_label_of_a_file_that_was_renamed_while_it_was_sent_is_due(state: State) -> None:
    state.labels.use(HOST)
    apply(state, Add(A, "a", version(1)))
    apply(state, Rename(C, "a", version(1), A))
    sent = Sent("a", 1, ONE, None, is_labelled=True)
    assert due(state) == []
    state.intents.confirm(sent, NOW)
    state.labels.note_sent(sent, A)
    assert due(state) == [("a", C)]


def test_a_label_that_the_collection_did_not_confirm_is_due(state: State) -> None:
    state.labels.use(HOST)
    add(state, "a", A, is_labelled=False)
    assert due(state) == [("a", A)]


def test_the_label_of_an_adopted_image_is_due(state: State) -> None:
    apply(state, Adopt(A, "a", version(1), ONE))
    assert due(state) == [("a", A)]
