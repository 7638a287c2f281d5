"""Notices that something may have changed. The only imports of watchdog and inotify_simple.

Modules, in reading order:

================  ============================================================================
``hints``         a hint says where, never what
``mounts``        which file system a path is on
``limits``        the limits of inotify
``watchtable``    what each inotify watch stands for
``inotify``       Linux: an emitter on watchdog's observer API
``generic``       other systems: watchdog's own observer
``supervision``   keeps the emitters working
``watcher``       the interface
``folder_watch``  how one folder is watched: by events or by polling
================  ============================================================================
"""
