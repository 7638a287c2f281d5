"""The command line. Only here something is printed, and only here an error becomes an exit code.

``root`` is the program, ``context`` what all commands share; ``mirroring``, ``looking``,
``notifying``, ``beginning`` and ``installing`` have the commands; ``progress`` and ``results`` are
what a person sees of them, and ``asking`` is what they are asked.
"""

from snoopsync.cli.root import main

__all__ = ["main"]
