"""The embedded collection: stores descriptions of pictures and finds similar ones.

It is an ``ImageCollection`` (``snoopsync.core.protocol``) inside the process. It never stores the
bytes of a picture. The package ``storage`` stores the descriptions. Importing this package is fast,
because numpy is imported only for the first picture.

Modules, in reading order:

=================  ============================================================
``collection``     the operations: the class ``EmbeddedCollection``
``opening``        opens the collection in a file
``answers``        the IDs that the operations accept, and the dictionaries that they return
``extraction``     extracts the features of an image, in the decoders
``search``         finds the stored images that are similar to a picture
``blocks``         searches for several pictures together
``changes``        what other owners added that is like the images of one owner
``pairing``        the rank and the kind of a pair of pictures, in either order
``scoring``        the codes of a search, and which near codes are matches
``kinds``          the kinds of matches, from the difference of two thumbnails
``variants``       a picture cropped, framed or rotated a little
``parts``          the rank and the kind of a pair of pictures that share a part
``region_pairs``   pairs of regions, and what they suggest about two pictures
``alignment``      aligns thumbnails by the part that both show
``agreement``      the part that two aligned thumbnails show, and how alike it is
``version_index``  the codes and regions that one version computed, in memory
``index``          codes in memory: add, remove, search
``hamming``        exact search for near codes, by counting differing bits
``sketches``       search for the codes of many variants, among codes whose coarse bits are alike
``region_index``   regions in memory: add, remove, search
=================  ============================================================
"""

from snoopsync.embedded.collection import EmbeddedCollection
from snoopsync.embedded.opening import ADDING_THREADS, open_embedded

__all__ = ["ADDING_THREADS", "EmbeddedCollection", "open_embedded"]
