"""What is remembered between one start and the next: a SQLite file, and the only SQL about it.

``file`` is what the disk has of it, ``lock`` keeps it to one process, ``schema`` is its tables,
``database`` opens it, and ``reading`` does so for whoever only looks. ``images`` is what is known
of the images, with the ``folders``, the ``intents`` (what is planned and not confirmed), the
``deletions`` that wait, and ``listings``, what is known of a directory as a whole; ``rows`` makes
records of rows. ``pairs`` are the duplicates.
"""
