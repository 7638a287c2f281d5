"""``snoopsync check``: whether everything is right, and how to fix what is not. It changes nothing.

Each module looks at one part of an installation and returns ``Finding`` values. In reading order:

=================  ==========================================================
``finding``        what was found, how serious it is, and how to fix it
``configuration``  the configuration file and the secret key
``folders``        each folder: present, readable, watched
``overlaps``       directories that are reachable twice
``inotify``        the system's limits for watching
``state``          the state file, and room for it
``collection``     the collection: its address, the clock, the keys
``service``        the service, and what systemd says about it
``examination``    all of them, in order
=================  ==========================================================
"""

from snoopsync.checks.examination import examine
from snoopsync.checks.finding import Finding, Health

__all__ = ["Finding", "Health", "examine"]
