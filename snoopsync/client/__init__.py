"""The collection over HTTP.

Modules, in reading order:

===================  =========================================================================
``signing``          how a request proves that it knows the secret key
``responses``        what a response means
``sources``          where the bytes of an image come from
``proxies``          which proxy the environment names
``tls``              which certificates are trusted
``connections``      connections that another thread can cut
``jsonstream``       long JSON lists, entry by entry
``lists``            answers with a long list
``paging``           a listing, page by page
``collection``       one request for each call
``circuit_breaker``  one probe at a time while a service is down
``retrying``         a collection that tries again
===================  =========================================================================
"""
