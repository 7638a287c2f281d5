"""Pure rules and values. Nothing here reads a file, a clock, a socket or a database.

Modules, in reading order:

==============  ==============================================================================
``errors``      every error that snoopsync raises on purpose, as a tree
``exits``       the exit codes, and the code of each error
``model``       the values that everything else is made of: paths, observations, records
``protocol``    what every collection can do, and what it answers
``events``      the events of the log, with their keys
``durations``   durations as people write them
``backoff``     how long to wait before another attempt
``addresses``   hosts and ports
``text``        counts and times in words
``selection``   which files of a folder are mirrored (gitignore patterns)
``left_out``    what a folder holds that is not mirrored, counted by reason
``identity``    whether a directory is the known folder
``settle``      when a path has stopped changing
``assignment``  which of the collection's unclaimed images each new file is
``planner``     what to do, from what was observed and what is recorded
``bulk_guard``  how many deletions are too many to be sent without approval
``tally``       what a resync did with each image
``duplicates``  what a search changes about the known pairs
``keep``        which of two files to keep
``retiring``    how to give up a folder that is gone for good
==============  ==============================================================================
"""
