"""The HTTP client of a collection: signed requests, checked responses, and retries.

``sync`` uses ``RetryingCollection``. The public Python client is ``snoopsync.Collection``.

Modules, in reading order:

===================  =========================================================================
``signing``          signs requests with the secret key
``responses``        interprets a response
``sources``          reads the bytes of an image to send
``proxies``          finds the proxy that the environment names
``tls``              decides which certificates are trusted
``connections``      connections that another thread can shut down
``jsonstream``       reads a long JSON list entry by entry
``lists``            interprets a response with a long list
``paging``           reads a listing page by page
``collection``       sends one request for each call
``circuit_breaker``  holds back calls while the service is down
``retrying``         retries failed calls
``changing``         stores and removes images, whether or not the collection has them
===================  =========================================================================
"""
