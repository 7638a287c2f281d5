"""The configured folders on disk: what is in them, and whether they are still the same ones.

Modules, in reading order:

==================  ==========================================================================
``statx``           mount and birth time of a directory
``beneath``         opens directories without following links
``disk``            the one place that reads the disk
``stable_file``     a file that must be the same before and after it is read
``folder``          one folder
``sample``          compares known files with the disk
``submounts``       file systems mounted below a folder
``identity_check``  whether the directory is the folder
``directory_stamp`` proves by a ctime that a directory's entries are the same
``directory_reader`` lists directories, or looks only at their known files
``scanner``         looks at directories for differences
``monitor``         one folder over time: identity, scans, watch
``pending``         paths that changed and are not planned yet
``hard_links``      files with several names
``ownership``       the owner of this installation's images
``configured``      all configured folders
==================  ==========================================================================
"""
