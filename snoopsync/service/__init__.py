"""The daemon.

Modules, in reading order:

====================  ========================================================================
``environment``       what a service gets from its process
``reconciler``        when the service makes a full resync
``command_handlers``  answers commands from the socket
``search_thread``     the thread that searches for duplicates
``engine_thread``     the thread that steps the engine
``service``           the threads of one generation
``control_router``    routes control requests to the current service
``exporters``         notifications and metrics
``daemon``            from the start to the last signal, reloads included
====================  ========================================================================
"""
