"""The configuration: YAML to frozen values. Every mistake is reported with its key and line.

Modules, in reading order:

===============  =============================================================================
``directories``  the user's own directories
``secrets``      secrets, and the sources that they are read from
``document``     a YAML file as values that know their keys and lines
``readers``      one function for each kind of value
``settings``     the schema: keys, types, defaults
``notify_urls``  the addresses for notifications, and the sources that they are read from
``file``         finds and reads the configuration file
``template``     creates a new configuration file
===============  =============================================================================
"""
