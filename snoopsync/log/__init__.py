"""The log: formats, destinations, and limits.

Modules, in reading order:

===============  =============================================================================
``formats``      a line as text, JSON or for the journal
``journal``      entries of the systemd journal
``append_file``  a file that others rotate away meanwhile
``writer``       a thread that writes, so that nobody waits for a slow log
``throttle``     repeated messages are logged a few times, then counted
``setup``        which handlers write the log, and where
===============  =============================================================================
"""
