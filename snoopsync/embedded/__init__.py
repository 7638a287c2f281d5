"""The embedded collection: stores descriptions of pictures in SQLite and finds similar ones.

It is an ``ImageCollection`` (``snoopsync.core.protocol``) inside the process. It never stores the
bytes of a picture. Importing it is cheap: numpy is imported with the first picture.

Modules, in reading order:

==============  ============================================================
``collection``  the operations: the class ``EmbeddedCollection``
``answers``     the IDs that they accept and the dictionaries that they return
``store``       the stored images: all SQL except the schema
``rows``        the features of a picture as columns of the database
``database``    opens the database: schema, permissions, errors
``search``      which stored images are similar to a picture
``pairing``     the rank and the kind of two pictures, whichever is searched for
``scoring``     the codes of a search, and how near codes become matches
``kinds``       the kinds of matches: the difference of two thumbnails
``variants``    a picture cropped, framed or rotated a little
``index``       codes in memory: add, remove, search
``hamming``     exact search for near codes: counts differing bits
==============  ============================================================
"""

from snoopsync.embedded.collection import EmbeddedCollection

__all__ = ["EmbeddedCollection"]
