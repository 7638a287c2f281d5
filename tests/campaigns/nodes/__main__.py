"""Run the campaign by hand."""

from __future__ import annotations

import argparse
import os
import sys

from tests.campaigns.nodes.campaign import FAULTS, run, why_not


def main() -> int:
    """From the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.nodes")
    parser.add_argument("--seconds", type=float, default=30.0, help="of work for each fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--samples", type=int, default=100, help="images that are searched for after each fault"
    )
    names = [fault.__name__ for fault in FAULTS]
    parser.add_argument("--only", choices=names, help="this fault only")
    given = parser.parse_args()
    if (reason := why_not()) is not None:
        sys.stderr.write(f"{reason}\n")
        return 2
    report = run(given.seed, given.seconds, given.samples, given.only)
    sys.stdout.write(f"{report.table()}\nseed {given.seed}; load {os.getloadavg()[0]:.1f}\n")
    sys.stdout.writelines(f"WRONG {each}\n" for each in report.wrong)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
