"""Which deaths are tried: for each trouble every point that its road crosses, as a first run without a death shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product, zip_longest
from pathlib import Path

from hub.contract.connector import Lookup, Repeat
from tests.crash.day import NOBODY, Case, Day, day
from tests.crash.troubles import TROUBLES

Roads = dict[Case, dict[str, int]]  # by lane: the points in the order of their first crossing, and how often

# Two lanes show most points of a trouble: a portal that can be asked, and one that cannot.
BASES = ((Lookup.EXACT, Repeat.UNSAFE, False), (Lookup.NONE, Repeat.REFUSES, True))
KINDS = tuple(product((Repeat.UNSAFE, Repeat.REFUSES, Repeat.SAFE), (False, True)))
DEATHS = 3  # on one road, far from each other

OPENING = ("store.migrate", "workspace.enter")
WHOSE = {  # points that are about a whole ledger and lie on no invoice's road, and where they are tried
    "tests/crash/test_product.py": OPENING,
    "tests/crash/test_arming_points.py": (
        "before_arming.armed",
        "arming.behind",
        "arming.said",
        "arming.retired",
        "marks.made",
        "marks.tidied",
        "marks.taken-back",
        "steering.stop-all",
    ),
    "tests/flows/test_demo.py": ("demo.over",),
}


def roads(played: Day) -> Roads:
    """What each lane of a day crossed."""
    found: Roads = {case: {} for key, case in played.cases.items() if key != NOBODY}
    for (key, point), times in played.trap.crossed.items():
        if key != NOBODY:
            found[played.cases[key]][point] = times
    return found


def survey(folder: Path, ledger: Path) -> Roads:
    """Every trouble at the two kinds of portal, without a death."""
    return roads(day(folder, [Case(trouble, *base) for trouble in TROUBLES for base in BASES], ledger=ledger))


def in_pairs(trouble: str, seen: Roads) -> list[Case]:
    """Each point that this trouble crosses, at least once; the kinds of portal take turns, and a lane dies thrice."""
    bases = [case for case in seen if case.trouble == trouble]
    turn = list(TROUBLES).index(trouble)
    points = dict.fromkeys(point for base in bases for point in seen[base])
    at: dict[Case, list[str]] = {base: [] for base in bases}
    for n, point in enumerate(points):
        able = [base for base in bases if point in seen[base]]
        at[able[(n + turn) % len(able)]].append(point)
    cases = []
    for base, mine in at.items():
        third = -(-len(mine) // DEATHS)
        for n, deaths in enumerate(zip_longest(*(mine[i : i + third] for i in range(0, len(mine), third or 1)))):
            repeat, unique = KINDS[(n + turn) % len(KINDS)]
            early = (n + turn) // 2 % 2 == 1
            cases.append(replace(base, repeat=repeat, unique=unique, early=early, deaths=tuple(filter(None, deaths))))
    return cases


def missed(trouble: str, seen: Roads, tried: Day) -> list[Case]:
    """The points at which nobody died because an earlier death led another way: each with a lane of its own."""
    died = {point for _, point in tried.trap.died}
    left = {}
    for base, road in seen.items():
        if base.trouble == trouble:
            left |= {point: replace(base, deaths=(point,)) for point in road if point not in died}
    return list(left.values())


def a_second_time(seen: Roads) -> list[Case]:
    """Each point that some road crosses more than once, at its second crossing."""
    found: dict[str, Case] = {}
    for base, road in seen.items():
        for point, times in road.items():
            if times > 1:
                found.setdefault(point, replace(base, deaths=(point,), nth=2))
    return list(found.values())


def every_kind(trouble: str) -> list[Case]:
    """One trouble at every kind of portal, without a death."""
    kinds = product((Lookup.EXACT, Lookup.NONE), KINDS)
    return [Case(trouble, lookup, *kind, early=n % 2 == 1) for n, (lookup, kind) in enumerate(kinds)]


def whole(seen: Roads) -> Iterator[Case]:
    """Every point of every road, at its first crossing and at its second."""
    for base, road in seen.items():
        for point, times in road.items():
            for nth in range(1, min(times, 2) + 1):
                yield replace(base, deaths=(point,), nth=nth)
