"""snoopsync keeps an image collection mirrored from folders, and says when a picture is there
twice."""

from typing import TYPE_CHECKING, Any

from snoopsync.version import __version__

if TYPE_CHECKING:
    from snoopsync.client.collection import Collection

__all__ = ["Collection", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Collection":
        # Late, because requests takes 0.1 s: what has the embedded collection does without it.
        from snoopsync.client.collection import Collection

        return Collection
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
