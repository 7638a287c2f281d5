"""The collection over HTTP: ``collection`` speaks the protocol, ``retrying`` is the coat around it
(or around any other collection) that tries again."""
