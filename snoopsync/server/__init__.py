"""The embedded collection as a service: the whole wire protocol, for many machines.

The daemon imports nothing from here. Modules, in reading order:

===============  ============================================================
``master_key``   the one secret of a data directory; all others derive from it
``registry``     the collections and their keys: the only SQL of its own
``signature``    whether a request is signed by its key, now, and only once
``tenants``      the open collections, and who may use which
``calls``        the calls: which one is it, and what does it do
``description``  the calls as OpenAPI
``uploads``      the body of a request, into a file
``slots``        shares decoders and threads fairly between keys
``app``          the ASGI application: from a request to its answer
``wire``         the bytes of a connection, with a limit on what is kept
``connection``   HTTP/1.1 on one connection
``http``         accepts connections, counts them, ends them
``certificate``  the service's own certificate
``main``         starts the service and stops it
``backup``       copies a data directory beside a running service
===============  ============================================================
"""
