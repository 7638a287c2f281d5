"""The socket next to the state file, on which commands send requests to a running service.

Modules, in reading order:

================  ============================================================================
``commands``      the commands, with their keys and types
``channel``       both ends of the socket
``group_access``  whether a group can reach the socket
``client``        sends a request, and returns the result
``report``        what the service reports about itself
================  ============================================================================
"""
