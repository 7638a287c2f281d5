"""Decodes untrusted pictures in sandboxed processes, for the embedded collection, the server
and the review page.

Modules, in reading order:

=============  ================================================================================
``features``   what is stored about a picture
``source``     reads an image once, completely
``layout``     the answers of decoders as bytes
``shots``      what a camera wrote about a shot, as bytes
``messages``   an answer as messages on a socket
``landlock``   denies access to the file system
``seccomp``    denies most system calls
``sandbox``    all restrictions of a decoder
``zygote``     the process that decoders are forked from
``processes``  starts, asks and ends the decoder processes
``pool``       the queue of the decoder processes, and what is done when one dies
``decoders``   the entry points: extract the features of a picture, and render it
``work``       what a decoder runs for each picture
``samples``    a tiny picture for each codec
``formats``    the table of formats
``opening``    opens a picture, within limits of work
``jpeg``       the structure of a JPEG
``png``        the structure of a PNG
``tiff``       corrects what Pillow decodes wrongly in a TIFF
``raw``        the preview in a camera RAW
``jxl``        JPEG XL
``psd``        the merged picture of a PSD or PSB
``frames``     animations and pictures of several pages
``pixels``     converts all kinds of pixels to 8 bits
``colours``    converts wide gamuts to sRGB
``border``     finds uniform borders, and bars with text
``pdq``        PDQ, the perceptual code
``regions``    the codes of parts of the picture
``traces``     traces of an earlier JPEG in the pixels
``evidence``   whether the file is an original or a copy
``decode``     extracts the features of a picture from its bytes
``rendering``  makes the pixels of a picture for people
``metadata``   reads what a camera wrote into a file
=============  ================================================================================
"""
