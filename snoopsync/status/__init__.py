"""Whether everything is mirrored and the service is well.

Modules, in reading order:

==============  ==============================================================================
``status``      ``snoopsync status``
``health``      whether the service is well
``snapshot``    both, as one value, read beside the service
``prometheus``  the same for Prometheus
==============  ==============================================================================
"""
