"""Notifications: tells people what happened, by mail, chat or push.

Modules, in reading order:

==================  ==========================================================================
``digest``          events to messages
``retry_queue``     the messages that wait for one target
``apprise_target``  where messages go: the only import of Apprise
``notifier``        from log events to sent messages
==================  ==========================================================================
"""
