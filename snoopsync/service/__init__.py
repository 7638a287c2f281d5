"""The daemon.

Modules, in reading order:

====================  ========================================================================
``environment``       what a service needs from its process
``reconciler``        decides when the service runs a full resync
``command_handlers``  answers commands from the socket
``search_thread``     the thread that searches for duplicates
``engine_thread``     the thread that steps the engine
``generation``        one generation of the service and its threads
``reload_check``      checks whether a new configuration can be used
``control_router``    routes control requests to the current service
``exporters``         notifications and metrics
``daemon``            runs the service until a signal, and reloads it
====================  ========================================================================
"""
