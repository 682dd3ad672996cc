"""Hours as the engine keeps them: what goes, what is asked, and what waits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from scripted import SCRIPTS, cascadia, drop, rows, states

from hub.contract.status import Submission
from hub.delivery.workspace import Workspace
from hub.engine import local, work
from hub.engine.lane import Lane
from hub.store import tables as t

Open = Callable[..., Workspace]
READY, IN_DOUBT, ACCEPTED = Submission.READY, Submission.IN_DOUBT, Submission.ACCEPTED
ASKING = ", statuses: true, lookup: exact, repeat: refuses"


def later() -> str:
    """Hours that have not come yet, whatever the time is."""
    begins, ends = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=n) for n in (6, 7))
    return f'{{mon-sun: "{begins:%H:%M}-{ends:%H:%M}"}}'


def keep(folder: Path, more: str) -> None:
    """Give the north more keys."""
    path = folder / "hub.yaml"
    north, rest = path.read_text(encoding="utf-8").split("\n  south:", 1)
    path.write_text(f"{north.removesuffix('}')}, {more}}}\n  south:{rest}", encoding="utf-8")


def test_outside_business_hours_it_is_asked_but_nothing_goes(opened: Open, tmp_path: Path) -> None:
    """Doubt is settled and statuses are collected; what is ready, or ready again, waits for the opening."""
    ws = opened(north=ASKING)
    SCRIPTS["north"].submit = lambda _step: 1 / 0  # type: ignore[assignment, return-value]
    drop(tmp_path, *cascadia("A"))
    local.once(ws, quiet=0)
    assert {"A": IN_DOUBT} == states(ws)
    ws.close()
    keep(tmp_path, f"business_hours: {later()}")
    SCRIPTS["north"].asked.clear()
    SCRIPTS["north"].submit = lambda _step: None
    ws = opened()
    drop(tmp_path, *cascadia("B"))
    local.once(ws, quiet=0)
    assert {"A": READY, "B": READY} == states(ws)
    assert {"find", "statuses"} == set(SCRIPTS["north"].asked)


def test_a_queue_that_outlasts_the_hours_stops_there(opened: Open, tmp_path: Path) -> None:
    """What was asked for while it was open is not claimed once it is closed."""
    ws = opened()
    drop(tmp_path, *cascadia("A"))
    list(work.scan(ws, "inbox", quiet=0))
    work.check_all(ws)
    keep(tmp_path, f"business_hours: {later()}")
    closed = opened()
    lane = Lane(closed, "north")
    try:
        [row] = rows(closed, t.submission)
        assert 0 == lane._deliver(row.id)
        assert ({"A": READY}, 0) == (states(closed), row.fence)
    finally:
        lane.close(seconds=5)


def test_a_closed_portal_is_asked_nothing_at_all(opened: Open, tmp_path: Path) -> None:
    """No submit, no look at doubt, no poll: all of that when it opens."""
    ws = opened(north=ASKING)
    SCRIPTS["north"].submit = lambda _step: 1 / 0  # type: ignore[assignment, return-value]
    drop(tmp_path, *cascadia("A"))
    local.once(ws, quiet=0)
    ws.close()
    keep(tmp_path, f"portal_hours: {later()}")
    SCRIPTS["north"].asked.clear()
    ws = opened()
    drop(tmp_path, *cascadia("B"))
    local.once(ws, quiet=0)
    assert ({"A": IN_DOUBT, "B": READY}, []) == (states(ws), SCRIPTS["north"].asked)


def test_at_the_times_of_an_expression_goes_what_was_ready_before(opened: Open, tmp_path: Path) -> None:
    """The expression of every minute lets everything go within a minute; one that comes tomorrow keeps it."""
    ws = opened(north=", statuses: true")
    drop(tmp_path, *cascadia("A"))
    list(work.scan(ws, "inbox", quiet=0))
    work.check_all(ws)
    with ws.db.writing("test") as tx:
        tx.execute(t.submission.update().values(since=ws.now() - dt.timedelta(minutes=2)))
    ws.close()
    path = tmp_path / "hub.yaml"
    text = path.read_text(encoding="utf-8").replace("submit_every: 0.1s", 'submit_at: "* * * * *"', 1)
    path.write_text(text, encoding="utf-8")
    ws = opened()
    local.once(ws, quiet=0)
    assert {"A": ACCEPTED} == states(ws)
    ws.close()
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    path.write_text(text.replace("* * * * *", f"0 0 {tomorrow:%d %m} *"), encoding="utf-8")
    drop(tmp_path, *cascadia("B"))
    ws = opened()
    local.once(ws, quiet=0)
    assert {"A": ACCEPTED, "B": READY} == states(ws)
