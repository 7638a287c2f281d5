"""Noticing that something may have changed. The only imports of watchdog and inotify_simple.

``watcher`` is the door. Behind it ``hints`` gathers what may have changed, ``inotify`` reads events
on Linux and ``stock`` elsewhere, ``watchtable`` knows which watch is which directory, and
``supervision`` replaces what has died or fallen silent. ``mounts`` says where events do not reach.
"""
