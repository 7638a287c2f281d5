"""Watches folders for changes. Only this package imports watchdog and inotify_simple.

Modules, in reading order:

================  ============================================================================
``hints``         where something may have changed
``hint_source``   the interface of a watch on one folder
``mounts``        which file system a path is on
``limits``        the limits of inotify
``watchtable``    maps watch descriptors to directories
``inotify``       Linux: an emitter on watchdog's observer API
``generic``       other systems: watchdog's own observer
``supervision``   replaces emitters that fail
``watcher``       watches all folders
``folder_watch``  watches one folder, by events or by polling
================  ============================================================================
"""
