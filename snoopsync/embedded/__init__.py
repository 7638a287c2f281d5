"""A collection of images inside the process, on SQLite, that finds pictures by likeness.

It answers as the service does (``snoopsync.protocol.ImageCollection``), and keeps what it knows
about a picture, never its bytes. What is where, in the order of import:

==============  ================================================================
``features``    what is kept of a picture: sizes, digests, codes
``source``      reads an image to send, whole and hashed
``store``       the only SQL
``pdq``         the perceptual code: the transform, its eight forms, the quality
``border``      what remains of a picture without its uniform borders
``decode``      the only Pillow: bytes to features
``index``       exact search over codes, with faiss or numpy
``likeness``    which stored pictures are like this one: the index that follows the store
``collection``  the operations, put together from these
==============  ================================================================

Importing this package costs nothing: numpy and Pillow come with the first picture.
"""

from snoopsync.embedded.collection import EmbeddedCollection

__all__ = ["EmbeddedCollection"]
