"""The configured folders on disk: their contents and their identity.

Modules, in reading order:

====================  ========================================================================
``directory_facts``   the mount and birth time of a directory
``open_folder``       opens directories of a folder without following links
``disk``              the one place that reads the disk
``stable_file``       a file that must be the same before and after it is read
``folder``            one folder
``sample``            compares known files with the disk
``submounts``         file systems mounted below a folder
``identity_check``    whether the directory at the folder's path is the folder
``directory_stamp``   proves by ctime that the entries of a directory have not changed
``directory_reader``  lists a directory, or checks only its known files
``scanner``           finds the differences between directories and records
``monitor``           one folder over time: its identity, scans and watch
``pending``           paths that changed and have no plan yet
``companions``        the companions of pictures, by their names
``hard_links``        images whose files are hard links of one file
``ownership``         the owner of this installation's images
``configured``        all configured folders
====================  ========================================================================
"""
