"""SIGKILL behind every point, with the real engine in a process of its own: the next one brings all to its end."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.crash import ROOT
from tests.crash.engine_day import Life
from tests.crash.plan import OPENING, WHOSE, Roads
from tests.crash.points import points

LANES = 2  # for each point, of different troubles
# It moves the clock under whatever goes on beside it, so it has a workspace to itself.
ALONE = "answers after its lease"
ELSEWHERE = {point for names in WHOSE.values() for point in names} - set(OPENING)
FIRST = {"reconcile.recover": "deliver.begin"}  # where a process must die for another to come to this point


class Nursery:
    """Starts processes quickly: one that has imported everything forks them."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.crash.engine_day"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def live(self, life: Life) -> int:
        """The exit status of a process that lived this, or minus the signal that ended it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(dataclasses.asdict(life)) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> str:
        """Let it go; what was said on its error output."""
        return self.process.communicate()[1]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    one = Nursery()
    yield one
    assert "" == one.end()


def troubles(seen: Roads, point: str) -> tuple[str, ...]:
    """Some on whose road this point lies; in a lane's thread nobody but SIGKILL may die."""
    able = {case.trouble: None for case, road in seen.items() if point in road} or {case.trouble: None for case in seen}
    mortal = [trouble for trouble in able if not trouble.startswith("death") and trouble != ALONE]
    return tuple(mortal[:: max(1, len(mortal) // LANES)][:LANES]) or (ALONE,)


@pytest.mark.parametrize("point", [point.name for point in points() if point.name not in ELSEWHERE])
def test_killed_there_it_ends_well(tmp_path: Path, nursery: Nursery, seen: Roads, point: str) -> None:
    """Each invoice is at its portal once, the ledger says so, and every file lies where it belongs."""
    mine = troubles(seen, FIRST.get(point, point))
    for killed_at in filter(None, (FIRST.get(point), point)):
        assert -SIGKILL == nursery.live(Life(str(tmp_path), mine, killed_at))
    assert 0 == nursery.live(Life(str(tmp_path), mine, None))
