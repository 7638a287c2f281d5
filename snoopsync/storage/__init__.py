"""What collections and their keys are stored in: two engines behind one interface.

The layers above do not know which engine they use. Modules, in reading order:

============  ============================================================
``images``    the interface of the images of one collection
``hosting``   the interface of all collections of a service, and of their keys
``rows``      whole rows of images, to move them between engines
``features``  the features of a picture as columns of a table
``sqlite``    the engine for one process: a file, or a directory of files
``postgres``  the engine for any number of nodes: a database
============  ============================================================
"""
