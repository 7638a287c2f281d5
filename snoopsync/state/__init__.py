"""The state file: what snoopsync remembers when it restarts. All SQL for it is in this package.

Modules, in reading order:

==================  ===============================================================================
``file``            the file on disk
``lock``            the lock: only one process uses a state file
``early_schema``    the tables up to groups of duplicates
``schema``          the tables, one step for each version
``database``        the open file: transactions, upgrades, damage
``reading``         read-only access
``kept_open``       keeps the file open for many readings
``rows``            from a row to an object
``images``          the record of each image
``folders``         the record of each folder
``intents``         what was planned and is not confirmed
``deletions``       which deletions are held, and which are approved
``labels``          the images whose label in the collection may be another one
``formats``         which formats the collection refuses
``schedule``        a clock that survives restarts: for retries and deletions
``listings``        directories whose listing is unchanged
``unwanted``        images that the configuration leaves out
``copies``          whether images with the same bytes are still duplicates, after dismissals
``nodes``           pictures and their copies, and which of them are alike
``grouping``        which pictures are connected in groups
``links``           which pictures searches found to be alike, and how they are related
``node_images``     the nodes of many images in one query
``alerts``          which alerts are due
``reported_pairs``  what the collection reported about images of other owners
``searches``        which searches are due, and what they found
``decisions``       the dismissals of duplicates
``sides``           an image as a list shows it: in a group, or one side of a pair
``group_order``     which groups match a filter, and in which order
``group_members``   makes dismissals of groups, or of the images that a person names
``group_rows``      the nodes and links of groups
``groups``          the duplicates as groups, for listings
``pairs``           the duplicates as pairs, for listings
==================  ===============================================================================
"""
