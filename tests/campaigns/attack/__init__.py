"""Attacks a real ``serve`` beside two honest clients, and measures how long these wait.

By hand: ``python -m tests.campaigns.attack --minutes 10 --seed 7``.

``attackers``: hostile clients, each a process of its own. ``honest``: clients that want what they
came for. ``campaign``: one beside the other, and the table.
"""
