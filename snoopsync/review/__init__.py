"""A web page on loopback to compare duplicates and decide about them.

It is a process of its own, with the rights of whoever starts it. It asks a running service for what
the state knows, or reads the state file itself, and sends decisions the same way.

Modules, in reading order:

===================  =========================================================================
``server``           listens, prints the address, opens the browser
``entry``            who may use the page: the token and the cookie
``peer``             the user whose browser has opened a connection
``security``         what each request has to pass before any route sees it
``app``              pages and errors
``parts``            the parts, connected
``routes``           the routes; ``routes_marked``, ``routes_pictures`` and ``routes_state``
``requests``         reads what the browser sends
``source``           a running service, or the state file
``view``             groups and images as the page's scripts get them
``groups``           the lists of groups, and decisions about all of a list
``decisions``        decisions about groups, and what undoes them
``marks``            the page's own file: marks, groups for later, what can be undone
``companions``       which companions of a marked picture go together with it
``marked``           the list of marked files
``presence``         which files are gone, where no service runs
``removal``          moves marked files to the trash, or lists them for programs
``trash``            one move to the trash; ``trash_directory`` and ``moving``
``script``           marked files as a list of paths, or as a shell script
``pictures``         opens the pictures that the state knows
``thumbnails``       small versions of pictures, kept by content
``content_cache``    keeps on disk what was made from pictures, within a limit
``details``          format, time and camera of the pictures of a group
``search``           have I got this one?
===================  =========================================================================
"""
