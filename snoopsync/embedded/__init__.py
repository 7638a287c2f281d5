"""A collection of images inside the process, on SQLite, that finds pictures by likeness.

It answers as the service does (``snoopsync.protocol.ImageCollection``), and keeps what it knows
about a picture, never its bytes. What is where, in the order of import:

==============  ================================================================
``evidence``    what a file says about where it comes from
``features``    what is kept of a picture: sizes, digests, codes
``source``      reads an image to send, whole and hashed
``database``    opens it: schema, permissions, errors
``store``       what is in it: all other SQL
``pdq``         the perceptual code: the transform, its eight forms, the quality
``border``      what remains of a picture without its uniform borders
``traces``      what JPEG leaves in what was made from one
``decode``      the only Pillow (with ``traces``): bytes to features
``scan``        exact search through codes: the counting of bits
``index``       codes in memory, to add, remove and search
``kinds``       what two pictures that are alike are to each other
``views``       what a picture would look like cropped, framed or turned a little
``matching``    what is asked for, and what becomes of what is near
``pairing``     the rank of two pictures, whichever of them is searched for
``likeness``    which stored pictures are like this one: the index that follows the store
``collection``  the operations, put together from these
==============  ================================================================

Importing this package costs nothing: numpy and Pillow come with the first picture.
"""

from snoopsync.embedded.collection import EmbeddedCollection

__all__ = ["EmbeddedCollection"]
