"""The engine for one process on one machine: SQLite files.

Modules, in reading order:

==============  ============================================================
``schema``      the tables of a collection's file: versions, permissions, errors
``image_rows``  the row of one image, and its changes
``images``      the images of one collection: ``SqliteImageStore``
``signatures``  the signatures that this process has accepted
``rows``        whole rows, to move them: ``SqliteImageRows``
``registry``    the collections of a directory and their keys: ``SqliteHosting``
==============  ============================================================
"""
