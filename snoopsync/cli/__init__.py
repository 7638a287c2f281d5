"""The command line. Only here something is printed, and only here an error becomes an exit code.

``root`` is the program, ``context`` what all commands share; ``mirroring``, ``approving``,
``looking``, ``notifying``, ``beginning``, ``installing``, ``hosting`` and ``completing`` have the
commands;
``progress``, ``overview``, ``watch``, ``tables`` and ``results`` are what a person sees of them,
and ``asking`` is what they are asked.
"""

from snoopsync.cli.root import main, program

__all__ = ["main", "program"]
