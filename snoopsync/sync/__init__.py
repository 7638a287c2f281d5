"""The engine: look, settle, plan, guard, record, send, confirm.

Modules, in reading order:

====================  ========================================================================
``plan_input``        reads what the planner needs to know
``remote_listing``    the collection's listing, compared with the state
``adoption``          finds existing images of new files in the collection
``planning``          plans for the settled paths, batch by batch
``deletion_guard``    decides which deletions may be sent
``transfer``          sends or removes one image
``in_flight``         the images that were being sent when the process died
``refusals``          when refused images are sent again, and refused formats tried again
``sender``            sends what is outstanding, records what was confirmed
``engine``            performs one step after another
``resync``            the full resync, a state of the engine
``resync_report``     what a resync did
``pruning``           ``resync --prune``
``shots``             whether similar pictures are copies, of one shot, or of one series
``duplicate_search``  searches for duplicates, and alerts
``renewal``           sends pictures again that the collection must describe again
``label_updates``     sends the names of images without the pictures
``changes_poll``      asks what other owners added that is like our images
``low_priority``      decides when these three run
``approving``         approves held deletions if no service runs
``deciding``          carries out decisions about duplicates
``comparing``         compares images of a group that no link connects
``components``        creates the parts and connects them
====================  ========================================================================
"""
