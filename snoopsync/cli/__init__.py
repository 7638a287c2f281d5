"""The command line. Only this package prints, and only this package turns errors into exit codes.

Modules, in reading order:

=================  ===========================================================
``root``           the program: global options, commands, errors
``startup``        standard streams and UTF-8, before anything runs
``context``        what all commands share: options, configuration, folders
``sync``           ``run`` and ``resync``
``after_resync``   searches for duplicates, and sends labels, after a resync
``approve``        ``approve``
``queries``        ``status``, ``check``, ``list``, ``search``
``duplicates``     ``duplicates``
``dismissals``     ``duplicates dismiss`` and ``duplicates restore``
``group_selection`` options that choose groups, and the comparison of their images
``surplus``        proves which files can be removed
``named``          the images and files that an argument names
``group_view``     groups as text and as JSON
``review``         ``review``
``init``           ``init``
``serve``          ``serve`` and ``keys``
``hiding``         takes a password out of the command line
``moving``         shows what ``serve import`` and ``serve export`` do
``service``        ``service install`` and ``service uninstall``
``notify``         ``notify test``
``completion``     shell completion
``prompts``        the questions of ``init``
``prune_prompt``   asks for confirmation of a prune
``progress``       a progress bar on a terminal, log lines elsewhere
``progress_bar``   the progress bar
``resync_text``    what a resync did, as text
``watch``          ``status --watch``
``status_view``    the status as text
``tables``         aligned columns on a terminal, tabs elsewhere
``output``         results of other commands, as text and as JSON
``json_lines``     prints lines of JSON
``lines``          writes lines to a pipe early
``exit_codes``     the exit code of each command
``owner_command``  the command line for the owner of a directory
=================  ===========================================================
"""

from snoopsync.cli.root import main, program

__all__ = ["main", "program"]
