"""The command line. Only this package prints, and only here an error becomes an exit code.

Modules, in reading order:

================  ===========================================================
``root``          the program: global options, and how it ends
``startup``       standard streams and UTF-8, before anything runs
``context``       what all commands share: options, configuration, folders
``sync``          ``run`` and ``resync``
``approve``       ``approve``
``queries``       ``status``, ``check``, ``list``, ``duplicates``, ``search``
``init``          ``init``
``serve``         ``serve`` and ``keys``
``service``       ``service install`` and ``service uninstall``
``notify``        ``notify test``
``completion``    completion in the shell
``prompts``       questions to a person at a terminal
``prune_prompt``  asks whether the plan of a prune is carried out
``progress``      a bar on a terminal, log lines elsewhere
``watch``         ``status --watch``
``overview``      the status in words
``tables``        aligned columns on a terminal, tabs elsewhere
``output``        results for people and for programs
``owner``         a command line for the owner of a directory
================  ===========================================================
"""

from snoopsync.cli.root import main, program

__all__ = ["main", "program"]
