"""Decodes pictures from strangers, in processes that can do nothing else.

A picture arrives as a descriptor, and what it looks like leaves as bytes of a fixed layout. In
between there is a process without privileges, files, network, and with little memory and time. In
reading order:

============  ==================================================================
``features``  what is kept of a picture: sizes, digests, codes
``evidence``  what its file says about where it comes from
``source``    reads an image to decode, whole and hashed
``decoders``  pictures to features, for any thread
``pool``      the processes, and the pictures that wait for them
``zygote``    the process that decoders are forked from, and what a decoder does
``sandbox``   what a decoder gives up: ``seccomp``, ``landlock``, limits
``layout``    the bytes that a decoder answers
``work``      what runs in the sandbox; ``samples`` prepares it
``decode``    bytes to features, with ``opening``, ``jpeg``, ``png``, ``tiff``,
              ``frames``, ``pixels``, ``border``, ``pdq``, ``traces``
============  ==================================================================

Importing this package costs nothing. Only the decoders import Pillow.
"""
