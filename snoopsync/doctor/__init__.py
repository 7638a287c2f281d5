"""Is everything all right, and if not, how is it mended? Nothing is changed by the asking.

Each of these looks at one part of an installation and tells what it finds as ``Finding`` values.
What it looks at comes in as arguments where a test could not have it otherwise:

=================  =============================================================
``finding``        what was found, how bad it is, and how to mend it
``configuration``  the configuration file, and the secret key
``folders``        each folder: is it there, can all of it be read, is it watched
``inotify``        the system's limits for watching them
``state``          the state file, and room for it
``collection``     the collection: its address, the clock, the keys; or the embedded one
``service``        the service, and systemd's account of it
``examination``    all of it, in order
=================  =============================================================
"""

from snoopsync.doctor.examination import examine
from snoopsync.doctor.finding import Finding, Health

__all__ = ["Finding", "Health", "examine"]
