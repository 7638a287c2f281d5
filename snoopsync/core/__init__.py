"""Pure rules and values. Nothing here reads a file, a clock, a socket or a database.

Modules, in reading order:

==============  ==============================================================================
``errors``      every error that snoopsync raises on purpose, as a tree
``exits``       the exit codes, and the code of each error
``model``       the basic values: paths, observations, records
``labels``      what an image is called on other machines
``protocol``    the methods of every collection, and the shapes of their answers
``events``      the events of the log, with their keys
``durations``   durations as people write them
``backoff``     how long to wait before another attempt
``addresses``   hosts and ports
``text``        counts and times in words
``selection``   which files of a folder are mirrored (gitignore patterns)
``left_out``    what a folder holds that is not mirrored, counted by reason
``identity``    whether a directory is the known folder
``settle``      when a path has stopped changing
``assignment``  which unclaimed image of the collection each new file matches
``planner``     the actions that follow from the observations and the records
``bulk_guard``  how many deletions are too many to be sent without approval
``tally``       what a resync did with each image
``duplicates``  what a search for duplicates found
``groups``      which pictures links connect
``keep``        which file of a group to keep
``companions``  which files belong to a picture by their names
``shots``       whether two pictures are copies, files of one shot, or shots of one series
``retiring``    how to give up a folder that is gone for good
==============  ==============================================================================
"""
