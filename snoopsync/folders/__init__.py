"""The configured folders on disk: what is in them, and whether they are still the same ones.

Modules, in reading order:

====================  ========================================================================
``directory_facts``   mount and birth time of a directory
``open_folder``       opens directories of a folder without following links
``disk``              the one place that reads the disk
``stable_file``       a file that must be the same before and after it is read
``folder``            one folder
``sample``            compares known files with the disk
``submounts``         file systems mounted below a folder
``identity_check``    whether the directory is the folder
``directory_stamp``   proves by a ctime that the entries of a directory are the same
``directory_reader``  lists a directory, or looks only at its known files
``scanner``           finds the differences between directories and records
``monitor``           one folder over time: identity, scans, watch
``pending``           paths that changed and are not planned yet
``hard_links``        files with several names
``ownership``         the owner of this installation's images
``configured``        all configured folders
====================  ========================================================================
"""
