"""Run a campaign by hand."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.campaigns.everyday.conditions import Conditions, Violation
from tests.campaigns.everyday.driver import Campaign


def main() -> int:
    """For the command line: campaigns until the time is over, or a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=1.0)
    arguments = parser.parse_args()
    sys.stdout.write(f"{Conditions.of(arguments.seed)}\n")
    with tempfile.TemporaryDirectory() as home, Campaign(Path(home), arguments.seed) as campaign:
        try:
            campaign.run(arguments.minutes * 60.0)
        except Violation as violation:
            sys.stdout.write(f"{violation}\n{campaign.figures}\nVIOLATION, seed {arguments.seed}\n")
            return 1
        sys.stdout.write(f"{campaign.figures}\nno violation\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
