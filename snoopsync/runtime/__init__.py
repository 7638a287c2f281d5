"""What a long-running process needs, whatever it does.

Modules, in reading order:

===================  =========================================================================
``clock``            time, as an argument
``counters``         counts of what was done, for metrics
``liveness``         whether each part of the service makes progress
``workers``          a few threads that do one job after another
``signals``          SIGTERM, SIGINT and SIGHUP
``systemd``          sd_notify(3): ready, alive, stopping
``owned_directory``  directories and files that only their owner can write to
``writability``      why a file cannot be written, and what to do
``sqlite``           the one way to open a SQLite file
===================  =========================================================================
"""
