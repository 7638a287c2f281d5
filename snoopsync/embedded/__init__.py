"""The embedded collection: finds similar pictures on SQLite, inside the process.

It answers as a service does (``snoopsync.core.protocol.ImageCollection``). It keeps what it knows
about a picture, never its bytes. Importing it is cheap: numpy is loaded with the first picture.

Modules, in reading order:

==============  ============================================================
``database``    opens the database: schema, permissions, errors
``store``       what is in it: all other SQL
``hamming``     exact search through codes: counts differing bits
``index``       codes in memory, to add, remove and search
``kinds``       what two similar pictures are to each other
``variants``    what a picture looks like cropped, framed or turned a little
``scoring``     what a search asks for, and how near codes become matches
``pairing``     the rank of two pictures, whichever is searched for
``search``      which stored pictures are similar to this one
``collection``  the operations, put together from these
==============  ============================================================
"""

from snoopsync.embedded.collection import EmbeddedCollection

__all__ = ["EmbeddedCollection"]
