"""Some rules of decoding show only in what the embedded collection finds."""

from tests.embedded.conftest import clock, collection, database

__all__ = ["clock", "collection", "database"]
