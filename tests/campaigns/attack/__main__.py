"""Run the campaign by hand."""

from __future__ import annotations

import argparse
import sys

from tests.campaigns.attack.attackers import PLAIN, TLS
from tests.campaigns.attack.campaign import FLOOR_SECONDS, MOST_TIMES, run


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.attack")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--floor",
        type=float,
        default=FLOOR_SECONDS,
        help="a p99 below this is never too long (seconds; %(default)s)",
    )
    names = [attack.__name__ for attack in PLAIN + TLS]
    parser.add_argument("--only", choices=names, help="this attack only")
    given = parser.parse_args()
    report = run(given.seed, 60.0 * given.minutes, given.floor, given.only)
    sys.stdout.write(f"{report.table()}\n")
    limit = f"p99 may be {MOST_TIMES:.0f} times as high as before, or {given.floor} s"
    sys.stdout.write(f"seed {given.seed}; {limit}\n")
    sys.stdout.writelines(f"WRONG {each}\n" for each in report.wrong)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
