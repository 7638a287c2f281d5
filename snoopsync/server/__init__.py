"""Hosts collections as a service for many machines, with the whole wire protocol.

The daemon does not use this package. Modules, in reading order:

====================  ======================================================
``master_key``        the only stored secret; all others derive from it
``storage``           opens where the collections and keys are stored
``signature``         checks that a request is signed, recent and new
``tenants``           opens collections and authorizes requests to them
``operations``        recognises and performs the operations of the protocol
``description``       the operations as OpenAPI
``uploads``           receives the body of a request into a file
``slots``             shares decoders and threads fairly between keys
``request_counters``  counts requests by call and status
``app``               the ASGI application: authorizes, performs, responds
``stream``            the bytes of a connection, with limits
``connection``        HTTP/1.1 on one connection
``http``              accepts connections, limits and closes them
``certificate``       checks the dates of the service's certificate
``metrics``           the metrics for Prometheus
``main``              starts the service and stops it
``backup``            copies a data directory while the service runs
``moving``            moves everything from a directory to a database, or back
====================  ======================================================
"""
