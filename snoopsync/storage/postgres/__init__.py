"""The engine for any number of nodes: PostgreSQL 14 or newer, without extensions.

PostgreSQL has the truth. Each node keeps only the index of codes in memory, and asks before each
search whether the collection has changed. Importing this package imports psycopg.

Modules, in reading order:

==============  ============================================================
``url``         the address of a database, and its password
``schema``      the tables: creates and upgrades them, and grants rights
``history``     notices that the database may have lost changes
``pool``        connections: opened, checked and counted; errors are translated
``image_rows``  the row of one image, and its changes
``images``      the images of one collection: ``PostgresImageStore``
``codes``       reads codes quickly, by ``COPY``
``signatures``  the signatures that all nodes have accepted
``rows``        whole rows, to move them: ``PostgresImageRows``
``registry``    the collections and their keys: ``PostgresHosting``
==============  ============================================================
"""
