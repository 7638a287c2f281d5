"""snoopsync keeps an image collection mirrored from folders, and says when a picture is there
twice."""

from snoopsync.client.collection import Collection
from snoopsync.version import __version__

__all__ = ["Collection", "__version__"]
