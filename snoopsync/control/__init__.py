"""The socket beside the state file: how a command asks a running service.

Modules, in reading order:

============  ================================================================================
``commands``  the commands, and what each may contain
``channel``   the socket, both ends
``report``    what the service reports about itself
============  ================================================================================
"""
