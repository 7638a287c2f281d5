"""Installs snoopsync as a systemd service.

Modules, in reading order:

===============  =============================================================================
``permissions``  whether another user can access a path
``readiness``    what is missing before the service can run
``units``        the unit files
===============  =============================================================================
"""
