"""The log: formats, destinations, and limits.

Modules, in reading order:

===============  =============================================================================
``formats``      formats a line as text, as JSON or for the journal
``journal``      entries of the systemd journal
``append_file``  appends to a file that may be rotated at any time
``writer``       a thread that writes, so that no other thread waits for a slow log
``throttle``     logs repeated messages a few times, then counts them
``setup``        which handlers write the log, and where
===============  =============================================================================
"""
