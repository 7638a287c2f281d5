"""The state file: what is remembered between two starts, and the only SQL about it.

Modules, in reading order:

=============  ===============================================================================
``file``       the file on disk
``lock``       one process for each state file
``schema``     the tables, one step for each version
``database``   opening, transactions, damage
``reading``    read-only access
``rows``       from a row to an object
``images``     what is recorded of each image
``folders``    what is recorded of each folder
``intents``    what was planned and is not confirmed
``deletions``  which deletions wait, and which a person approved
``schedule``   when an image is tried again
``listings``   directories whose listing is unchanged
``unwanted``   images that the configuration leaves out
``pairs``      the duplicates
=============  ===============================================================================
"""
