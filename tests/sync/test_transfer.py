"""One image at a time: what is looked at right before its request is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import NotFound, Unavailable, Unreachable
from snoopsync.core.labels import Labelling
from snoopsync.core.model import Fingerprint, Record, RelPath
from snoopsync.core.planner import Delete
from snoopsync.core.protocol import ImageAnswer
from snoopsync.core.selection import Selection
from snoopsync.folders.folder import Folder
from snoopsync.state.intents import Outstanding
from snoopsync.sync.deletion_guard import Cleared
from snoopsync.sync.transfer import (
    Deleted,
    FileDiffers,
    Rejected,
    Removal,
    Transfer,
    TransferResult,
)
from tests.support.world import Shelf, fake_picture

PLACE = RelPath("photos", b"a.jpg")
REMOVAL = Removal(Cleared(Delete(PLACE, "tester.a"), counts=True, newest=0))


class FailingOnce(Shelf):
    """The first deletion fails, and meanwhile something happens on the disk."""

    def __init__(self, error: Exception, path: Path) -> None:
        super().__init__()
        self.error: Exception | None = error
        self.path = path
        self.deletions = 0

    def delete_image(self, image_id: str) -> ImageAnswer:
        self.deletions += 1
        if self.error is not None:
            error, self.error = self.error, None
            self.meanwhile()
            raise error
        return super().delete_image(image_id)

    def meanwhile(self) -> None:
        self.path.write_bytes(b"it is back")


class LosingTheFolder(FailingOnce):
    def meanwhile(self) -> None:
        self.path.parent.rename(self.path.parent.with_name("elsewhere"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    root = tmp_path / "photos"
    root.mkdir()
    folder = Folder("photos", bytes(root), Selection(None, ()))
    folder.identity = folder.identify()
    return folder


def delete(shelf: Shelf, folder: Folder) -> TransferResult | None:
    """Delete the image of ``PLACE``, if its file is proven to be gone."""
    return transfer_to(shelf).delete(REMOVAL, lambda: folder.prove_gone(PLACE.path, 0))


def transfer_to(shelf: Shelf) -> Transfer:
    policy = RetryPolicy(base_seconds=0.0)
    return Transfer(RetryingCollection(shelf, CircuitBreaker(policy)), Labelling())


def test_a_file_that_is_not_the_one_that_was_planned_for_is_not_sent(
    folder: Folder, tmp_path: Path
) -> None:
    """It has been written to since it came to rest, and may be half done."""
    path = tmp_path / "photos" / "a.jpg"
    path.write_bytes(fake_picture(1))
    seen = Fingerprint.of(path.lstat())
    planned = Outstanding(Record("tester.a", PLACE, seen, dirty=True), 1, 0, approved=False)
    path.write_bytes(fake_picture(2, size=1000))
    shelf = Shelf()

    assert transfer_to(shelf).upload(folder, planned) == FileDiffers("tester.a", PLACE)
    with pytest.raises(NotFound):
        shelf.get_image("tester.a")


@pytest.mark.parametrize("error", [Unavailable("later", status=503), Unreachable("no answer")])
def test_a_deletion_is_proven_again_before_every_attempt(
    folder: Folder, tmp_path: Path, error: Exception
) -> None:
    shelf = FailingOnce(error, tmp_path / "photos" / "a.jpg")

    result = delete(shelf, folder)

    assert result == FileDiffers("tester.a", PLACE)
    assert shelf.deletions == 1


def test_a_folder_that_went_missing_while_a_deletion_waited_stops_it(
    folder: Folder, tmp_path: Path
) -> None:
    shelf = LosingTheFolder(Unavailable("later", status=503), tmp_path / "photos" / "a.jpg")

    result = delete(shelf, folder)

    assert isinstance(result, Rejected)
    assert "missing" in result.reason
    assert shelf.deletions == 1


def test_an_image_whose_file_stays_gone_is_removed_at_the_next_attempt(folder: Folder) -> None:
    shelf = FailingOnce(Unavailable("later", status=503), Path())
    shelf.meanwhile = lambda: None  # type: ignore[method-assign]

    assert delete(shelf, folder) == Deleted(REMOVAL)
    assert shelf.deletions == 2
