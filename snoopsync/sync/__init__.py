"""The engine: look, settle, plan, guard, record, send, confirm.

Modules, in reading order:

====================  ========================================================================
``plan_input``        what the planner needs to know
``remote_listing``    the collection's listing, compared with the state
``adoption``          finds the image in the collection that a file already is
``planning``          plans for the paths that came to rest, batch by batch
``delete_guard``      which deletions may be sent
``transfer``          sends or removes one image
``in_flight``         the images that were being sent when the process died
``sender``            sends what is outstanding, records what was confirmed
``engine``            one step after another
``resync``            the full resync, a state of the engine
``resync_report``     what a resync did
``pruning``           ``resync --prune``
``duplicate_search``  searches for duplicates, and alerts
``renewal``           has pictures described again after an upgrade
``renewer``           when that happens
``components``        creates the parts and connects them
====================  ========================================================================
"""
