"""Notifications: sends selected log events by mail, chat or push.

Modules, in reading order:

==================  ==========================================================================
``digest``          groups log events into notifications
``retry_queue``     the notifications waiting for one target
``apprise_target``  sends notifications with Apprise
``notifier``        the threads that pass events from the log to the targets
==================  ==========================================================================
"""
