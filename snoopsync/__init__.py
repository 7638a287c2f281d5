"""snoopsync mirrors folders of pictures into an image collection, and alerts about duplicates."""

from typing import TYPE_CHECKING, Any

from snoopsync.version import __version__

if TYPE_CHECKING:
    from snoopsync.client.collection import Collection

__all__ = ["Collection", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Collection":
        # Imported late, because requests takes 0.1 s and the embedded collection does not need it.
        from snoopsync.client.collection import Collection

        return Collection
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
