"""Notifications: sends selected log events by mail, chat or push.

Modules, in reading order:

==================  ==========================================================================
``digest``          groups log events into notifications
``retry_queue``     the notifications waiting for one target
``apprise_target``  the targets: the only import of Apprise
``notifier``        the threads between the log and the targets
==================  ==========================================================================
"""
