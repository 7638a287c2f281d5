"""The configuration: YAML to frozen values, and every mistake by its key and line.

``settings`` is what can be said, ``file`` where it is read from and written to, ``secrets`` how the
secret key is kept from showing. ``document``, ``readers`` and ``durations`` are how it is read.
"""
