"""General tools for a long-running process.

Modules, in reading order:

===================  =========================================================================
``clock``            the clock that code receives as an argument
``counters``         counts of what the process did, for metrics
``prometheus``       serves metrics for Prometheus over HTTP
``liveness``         whether each part of the service makes progress
``workers``          threads that run one job after another
``signals``          SIGTERM, SIGINT and SIGHUP
``systemd``          sd_notify(3): ready, alive, stopping
``owned_directory``  directories and files that only their owner can write to
``writability``      why a file can't be written, and what to do
``sqlite``           the one way to open a SQLite file
``group_commit``     commits the changes of several threads together
===================  =========================================================================
"""
