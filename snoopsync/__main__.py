"""``python -m snoopsync``."""

from snoopsync.cli import main

main()
