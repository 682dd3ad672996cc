"""`python -m tests.crash [--all [--jobs N] [TROUBLE …]]`: the table of crash points, and what a death at each does.

--all plays the whole product: every point that each trouble's road crosses, at its first crossing and its second, at
every kind of portal; without it only the table is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from typing import TextIO

from tests.crash.points import points
from tests.crash.product import Tally, one_trouble
from tests.crash.troubles import TROUBLES


def table(tally: Tally | None) -> str:
    """Each point, where it stands, and what became of the invoices on whose way somebody died there."""
    lines = []
    for point in points():
        states = tally.became.get(point.name, Counter()) if tally else Counter()
        told = ", ".join(f"{state} {number}" for state, number in states.most_common())
        lines.append(f"{point.name:<42}{point.file}:{point.line} {point.function:<24}  {told}".rstrip())
    return "\n".join(lines)


def _say(words: str, *, file: TextIO | None = None) -> None:
    print(words, file=file, flush=True)


def main() -> int:
    """0 if every death left each invoice at its portal once, or with one question."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--all", action="store_true", help="play the whole product")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("troubles", nargs="*", metavar="TROUBLE", help="only these")
    chosen = parser.parse_args()
    if not chosen.all:
        _say(table(None))
        return 0
    start, tally = time.monotonic(), Tally()
    names = chosen.troubles or list(TROUBLES)
    with multiprocessing.get_context("spawn").Pool(chosen.jobs) as pool:
        for name, one in zip(names, pool.imap(one_trouble, names), strict=True):
            tally.add(one)
            _say(f"{name}: {one.roads} roads, {len(one.wrong)} wrong", file=sys.stderr)
    _say(table(tally))
    deaths = sum(states.total() for states in tally.became.values())
    _say(f"{tally.roads} roads, {deaths} deaths, {len(tally.wrong)} wrong, {time.monotonic() - start:.0f} s")
    for words in tally.wrong:
        _say(words)
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
