"""The configuration: YAML to frozen values. Every mistake is reported with its key and line.

Modules, in reading order:

===============  =============================================================================
``directories``  the user's own directories
``secrets``      secrets, and the places that they are read from
``document``     a YAML file as values that know their keys and lines
``readers``      one function for each kind of value
``settings``     the schema: keys, types, defaults
``notify_urls``  the addresses for notifications, from whichever source has them
``file``         finds and reads the configuration file
``template``     writes a new one
===============  =============================================================================
"""
