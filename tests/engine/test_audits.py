"""Looking again at what seemed settled, as part of the running hub: last of all, and never in the way."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path

from scripted import SCRIPTS, cascadia, drop, rows, states, until

from hub.contract.status import Submission
from hub.delivery.workspace import Workspace
from hub.engine import local
from hub.engine.lane import Lane
from hub.store import tables as t

Open = Callable[..., Workspace]
_EXACT = ", lookup: exact"


def long_ago(ws: Workspace) -> None:
    """Everything was sent nine days ago, and not heard of since."""
    then = ws.now() - dt.timedelta(days=9)
    with ws.db.writing("test") as tx:
        tx.execute(t.submission.update().values(sent_at=then, last_attempt_at=then, heard_at=None, looked_at=None))


def accepted(opened: Open, folder: Path, *numbers: str) -> Workspace:
    """Invoices that the portal took in, which it can be asked for."""
    ws = opened(north=_EXACT)
    drop(folder, *cascadia(*numbers))
    local.once(ws, quiet=0)
    assert {Submission.ACCEPTED} == set(states(ws).values())
    SCRIPTS["north"].asked.clear()
    return ws


def test_one_pass_ends_with_the_looks_that_are_due(opened: Open, tmp_path: Path) -> None:
    """What the portal lost becomes a question; a second pass asks nothing again."""
    ws = accepted(opened, tmp_path, "A", "B")
    local.once(ws, quiet=0)
    assert [] == SCRIPTS["north"].asked
    long_ago(ws)
    for _ in range(2):
        local.once(ws, quiet=0)
        assert ["find", "find"] == SCRIPTS["north"].asked
        assert 2 == len(rows(ws, t.task))


def test_a_running_hub_looks_again_by_itself(opened: Open, tmp_path: Path) -> None:
    """At its start, and then every few minutes."""
    ws = accepted(opened, tmp_path, "A")
    long_ago(ws)
    scheduler = local.Scheduler(ws)
    scheduler.start()
    try:
        until(lambda: rows(ws, t.task), "the question about what is missing")
    finally:
        assert scheduler.stop(grace=20)


def test_nothing_is_looked_for_again_while_something_waits(opened: Open, tmp_path: Path) -> None:
    """What was asked of the lane goes first, whatever it is; the next round looks."""
    ws = accepted(opened, tmp_path, "A")
    long_ago(ws)
    lane = Lane(ws, "north")
    goes_on = threading.Event()
    SCRIPTS["north"].find = lambda _key: goes_on.wait(20) and []
    try:
        first = lane.audit()
        until(lambda: SCRIPTS["north"].asked, "the look")
        waiting = lane.reconcile([1])
        assert (1, 1, []) == (len(first), len(waiting), lane.audit())
        goes_on.set()
        assert [1, 1] == [one.result(20) for one in (*first, *waiting)]
    finally:
        goes_on.set()
        assert lane.close(seconds=20)
