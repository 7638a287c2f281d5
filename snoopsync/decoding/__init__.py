"""Decodes pictures from strangers, in processes that can do nothing else. Used by the embedded
collection and by the server.

Modules, in reading order:

============  ================================================================================
``features``  what is kept of a picture
``source``    reading an image once, whole
``layout``    the bytes that a decoder answers
``landlock``  gives up the file system
``seccomp``   gives up system calls
``sandbox``   everything that a decoder gives up
``zygote``    the process that decoders are forked from
``pool``      the decoders, and the pictures that wait for them
``decoders``  the entry point: a picture to its features
``work``      what a decoder does with a picture
``samples``   a tiny picture for each codec
``opening``   opens a picture, within limits
``jpeg``      the structure of a JPEG
``png``       the structure of a PNG
``tiff``      corrections for TIFF
``frames``    pictures of several frames
``pixels``    all kinds of pixels to 8 bits
``border``    uniform borders
``pdq``       the perceptual code
``traces``    traces that JPEG leaves in pixels
``evidence``  whether the file is an original or a copy
``decode``    a picture's bytes to its features
============  ================================================================================
"""
