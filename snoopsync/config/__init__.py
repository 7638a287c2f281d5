"""The configuration: YAML to frozen values. Every mistake is reported with its key and line.

Modules, in reading order:

===============  =============================================================================
``directories``  the user's own directories
``secrets``      secrets, and the places that they are read from
``document``     YAML read into dataclasses
``readers``      one function for each kind of value
``settings``     the schema: keys, types, defaults
``targets``      addresses of notifications
``file``         finding, reading and writing the file
===============  =============================================================================
"""
