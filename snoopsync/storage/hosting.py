"""The interface of all collections of a service and of their keys, which each engine implements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol

from snoopsync.core.errors import Refused, Unavailable
from snoopsync.storage.images import ImageStore
from snoopsync.storage.rows import ImageRows

#: The largest difference between a signature's date and the service's clock.
WINDOW_SECONDS = 15 * 60.0

#: The largest number of signatures that are stored for one key: about 20 MB of memory, or 220
#: changes per second for the whole time. Only a key with more changes must wait.
MAX_SIGNATURES_PER_KEY = 200_000

#: The longest wait for a key with too many changes.
_LONGEST_WAIT_SECONDS = 60.0

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class HostedCollection:
    """A collection of a service. ``created_at`` is Unix seconds."""

    collection_id: str
    name: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Key:
    """The public half of a key pair. Times are Unix seconds. ``revoked_at`` is ``None`` for a valid
    key, ``last_used_at`` for one that was never used. ``label``: a name for people."""

    public_key: str
    collection_id: str
    collection_name: str
    created_at: float
    revoked_at: float | None = None
    label: str | None = None
    last_used_at: float | None = None


#: The columns of the table ``key``, and so what is moved of a key.
KEY_COLUMNS = (
    "public_key",
    "collection_id",
    "created_at",
    "revoked_at",
    "label",
    "last_used_at",
)

#: The fields of a ``Key``, as columns of the tables ``key`` and ``collection``, joined.
KEY_FIELDS: LiteralString = (
    "public_key, collection_id, name, key.created_at, revoked_at, label, last_used_at"
)


def key_values(key: Key) -> list[Any]:
    """The values of ``KEY_COLUMNS``."""
    return [getattr(key, column) for column in KEY_COLUMNS]


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """The connections of this process to a database. ``size``: open connections, of at most
    ``most``. ``in_use``: those that a request has. ``waiting``: requests that wait for one.
    ``failed``: requests that waited in vain, since the start."""

    size: int
    most: int
    in_use: int
    waiting: int
    failed: int


class SignatureHistory(Protocol):
    """The signatures that were accepted, until their date is too old anyway."""

    @property
    def remembers_since(self) -> float:
        """The Unix time (seconds) since which every signature is remembered."""
        ...

    def accept(self, public_key: str, signature: str, sent_at: float, now: float) -> None:
        """Remember a signature, which was sent at ``sent_at``. Times are Unix seconds. Raises
        ``Unavailable`` if it is remembered already (425), or if this key has too many (429)."""


class Hosting(Protocol):
    """All collections of a service: which key may use which collection. For any number of threads,
    processes and machines. Each call sees all earlier changes.

    Methods raise ``SnoopsyncError`` if the database can't be read or written.
    """

    @property
    def signatures(self) -> SignatureHistory:
        """The signatures that the service has accepted."""
        ...

    @property
    def description(self) -> str:
        """Where the collections are stored, for people. Without any password."""
        ...

    @property
    def warning(self) -> str | None:
        """What is unsafe about the way to the database, for people; ``None`` if nothing is."""
        ...

    @property
    def files_per_collection(self) -> int:
        """How many files each opened ``ImageStore`` keeps open; 0 if that number is small for all
        together."""
        ...

    def pool_statistics(self) -> PoolStatistics | None:
        """The connections at this moment; ``None`` if the engine has no pool. Waits for nothing."""
        ...

    def close(self) -> None:
        """Release what this object holds."""

    def master_key_fingerprint(self) -> str | None:
        """The fingerprint of the master key that the keys were created with; ``None`` before."""
        ...

    def record_master_key(self, fingerprint: str) -> str:
        """Store this fingerprint of the master key if none is stored. Returns the stored one."""
        ...

    def add_key(self, name: str, label: str | None = None) -> Key:
        """Add a key pair for the collection of this name, which is created if it does not exist.
        Raises ``Refused`` for an invalid name or label."""
        ...

    def revoke(self, public_key: str) -> bool:
        """Revoke this key. Returns whether it was valid."""
        ...

    def record_use(self, public_key: str, at: float) -> None:
        """Store when the key was last used (Unix seconds)."""

    def all_keys(self) -> Sequence[Key]:
        """All keys, also revoked ones, oldest first."""
        ...

    def collection_for(self, public_key: str) -> HostedCollection | None:
        """The collection of this key; ``None`` for an unknown or revoked key."""
        ...

    def collections(self) -> Sequence[HostedCollection]:
        """All collections, by name."""
        ...

    def images(self, hosted: HostedCollection) -> ImageStore:
        """The images of this collection. The caller closes the store."""
        ...

    def image_rows(self, hosted: HostedCollection) -> ImageRows:
        """The rows of this collection, to move them. The caller closes them."""
        ...

    def insert_collection(self, hosted: HostedCollection) -> None:
        """Store a collection that is moved here, unless it exists."""

    def insert_keys(self, keys: Sequence[Key]) -> None:
        """Store all these keys, whose collections are moved here, or none. Signatures from before
        are unknown."""


def checked_name(name: str) -> str:
    """The name of a collection without spaces around it. Raises ``Refused`` for an invalid one."""
    name = name.strip()
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        raise Refused(f"the name of a collection must be a text of 1 to {_LONGEST_NAME} characters")
    return name


def checked_label(label: str | None) -> str | None:
    """The label of a key without spaces around it. Raises ``Refused`` for an invalid one."""
    if label is None:
        return None
    label = label.strip()
    if len(label) > _LONGEST_NAME or not label.isprintable():
        raise Refused(f"the label of a key must be a text of up to {_LONGEST_NAME} characters")
    return label or None


def send_again(reason: str) -> Unavailable:
    """The error for a signature that cannot be accepted, although it is valid."""
    return Unavailable(f"{reason}: send it again with a new date", status=425, retry_after=1.0)


def too_many_changes(most: int, wait_seconds: float) -> Unavailable:
    """The error for a key that has sent too many changes."""
    return Unavailable(
        f"this key has sent {most} changes within the last half hour, which is the limit",
        status=429,
        retry_after=min(max(1.0, wait_seconds), _LONGEST_WAIT_SECONDS),
    )
