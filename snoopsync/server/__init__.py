"""The embedded collection as a service of its own: the whole wire protocol, for many machines.

A program of its own: the daemon imports nothing from here. What is where, in the order of import:

===============  ==================================================================
``master``       the one secret of a data directory, from which all others are derived
``registry``     the only SQL of its own: collections, and the keys to them
``signature``    is a request signed by who it says, now, and for the first time?
``hosting``      what a request is about: who may use which collection
``calls``        the calls: which is it, and what does it do
``description``  the calls, for programs (OpenAPI)
``receiving``    the body of a request, into a file
``slots``        shares decoders and threads fairly between keys
``app``          the ASGI application: from a request to its answer
``wire``         the bytes of a connection, with a limit to what is kept of them
``connection``   HTTP/1.1 on one connection
``http``         takes connections, counts them, and ends them
``serving``      puts it together, runs it, and takes it apart
``backup``       a copy of it all, beside a running service
===============  ==================================================================
"""
