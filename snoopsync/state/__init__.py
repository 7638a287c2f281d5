"""What is remembered between one start and the next: a SQLite file, and the only SQL about it.

``database`` opens it, ``schema`` is its tables, ``images`` the folders and images, ``listings``
what is known of a directory as a whole, ``pairs`` the duplicates; ``lock`` keeps it to one process.
"""
