"""Whether everything is mirrored, and whether the service is healthy.

Modules, in reading order:

===============  =============================================================================
``model``        the status, and the reasons why something is not mirrored
``reading``      reads the status
``review_json``  groups and images as the review page gets them
``review_data``  answers the questions of the review page from the state file
``health``       the health of the service
``snapshot``     status and health as one value, read inside the service
``prometheus``   the snapshot over HTTP, for Prometheus
===============  =============================================================================
"""
