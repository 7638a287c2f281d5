"""The daemon.

Modules, in reading order:

====================  ========================================================================
``command_handlers``  answers commands from the socket
``reconciler``        when a full resync runs
``exporters``         notifications and metrics beside the service
``service``           the threads of one generation
``daemon``            from start to the last signal, reloads included
====================  ========================================================================
"""
