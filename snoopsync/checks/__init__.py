"""``snoopsync check``: finds problems of an installation and how to fix them. Changes nothing.

Each module checks one part and returns ``Finding`` values. In reading order:

=================  ==========================================================
``finding``        the result of a check
``configuration``  the configuration file and the secret key
``folders``        each folder: present, readable, watched
``overlaps``       directories that the folders contain twice
``inotify``        the system's limits for watching
``state``          the state file, and free disk space
``collection``     the collection: URL, clock, keys
``service``        the service and its systemd units
``examination``    all checks, in order
=================  ==========================================================
"""

from snoopsync.checks.examination import examine
from snoopsync.checks.finding import Finding, Severity

__all__ = ["Finding", "Severity", "examine"]
