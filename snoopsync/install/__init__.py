"""Installs snoopsync as a systemd service.

Modules, in reading order:

===============  =============================================================================
``permissions``  what another user can reach
``readiness``    what a service still needs
``units``        the unit files
===============  =============================================================================
"""
