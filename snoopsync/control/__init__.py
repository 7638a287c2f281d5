"""The socket next to the state file, on which commands send requests to a running service.

Modules, in reading order:

============  ================================================================================
``commands``  the commands, with their keys and types
``channel``   both ends of the socket
``report``    what the service reports about itself
============  ================================================================================
"""
