"""A state file with duplicates, for tests of the modules that record and list them."""

from __future__ import annotations

from collections.abc import Sequence

from snoopsync.core.duplicates import Findings, FoundImage
from snoopsync.core.keep import FolderOrder
from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import Add
from snoopsync.core.protocol import PictureFacts
from snoopsync.state.database import Database
from snoopsync.state.decisions import Decisions, Dismissal, Member
from snoopsync.state.groups import Group, Groups
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.state.pairs import Pairs, PairState
from snoopsync.state.searches import Due, Searches, SearchResult

PHOTOS = {"photos": (0, False)}
NOW = 2e9

LARGE: PictureFacts = {"width": 400, "height": 300, "size_bytes": 9}
SMALL: PictureFacts = {"width": 40, "height": 30, "size_bytes": 10}


def rel_path(name: str) -> RelPath:
    return RelPath("photos", f"{name}.jpg".encode())


def sha(text: str) -> bytes:
    """The SHA-256 of the picture with this name."""
    return text.encode().ljust(32, b".")


class Duplicates:
    """A state file. An image's name is its ID, and by default that of its picture as well."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.state = State(database)
        self.searches = Searches(database)
        self.pairs = Pairs(database)
        self.decisions = Decisions(database)
        self.contents: dict[str, bytes] = {}
        self.versions = 0

    def send(self, name: str, picture: str | None = None) -> None:
        """Our image has these bytes, as the collection confirmed."""
        self.versions += 1
        file = File(Fingerprint(ord(name[0]) * 100 + len(name), 1, self.versions, self.versions))
        self.state.intents.apply([Add(rel_path(name), name, file)], now=1.0)
        self.contents[name] = sha(picture or name)
        for item in self.state.intents.outstanding(9, 1.0, ["photos"]):
            sent = Sent(item.record.image_id, item.mark, self.contents[name], None)
            self.state.intents.confirm(sent, now=1.0)

    def search(
        self, name: str, *found: FoundImage, at: float = 1.0, complete: bool = True
    ) -> list[tuple[str, str]]:
        """The search for our image found these. Returns the alerts: image and match."""
        due = Due(name, self.contents[name])
        self.searches.record([SearchResult(due, Findings(found, {}, complete), at)])
        return self.alerts()

    def alerts(self) -> list[tuple[str, str]]:
        """Give the alerts that are due."""
        due = self.searches.alerts.due()
        self.searches.alerts.mark(due)
        self.searches.alerts.drop_ended()
        return [(each.image.image_id, each.match.image_id) for each in due]

    def groups(self, order: FolderOrder = PHOTOS) -> list[Group]:
        return list(Groups(self.database, order).listed(NOW))

    def names(self) -> dict[str, set[str]]:
        """The images of each group, by its number."""
        return {
            group.name: {each.side.image_id for each in group.images} for group in self.groups()
        }

    def states(self) -> list[PairState]:
        return [pair.state for pair in self.pairs.listed(everything=True)]

    def dismiss(self, *names: str) -> None:
        members = tuple(Member(name, self.contents[name]) for name in names)
        self.decisions.dismiss([Dismissal(members)], NOW)

    def restore(self, *names: str) -> int:
        return self.decisions.restore([Member(name, self.contents[name]) for name in names])


def like(name: str, rank: int = 5, *, picture: str | None = None, **more: str) -> FoundImage:
    return FoundImage(name, rank, more.get("kind"), sha(picture or name))


def sent(world: Duplicates, names: Sequence[str]) -> None:
    for name in names:
        world.send(name)
        world.search(name)
