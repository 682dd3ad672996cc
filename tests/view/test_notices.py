"""What presses and what is waited for is told where people look, and once for all that waits alike."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger_rows import NOW, Rows, ago, lanes
from rich.console import Console

from hub.contract.status import Stage, Submission
from hub.printing import print_explanations, print_status
from hub.schedule import Calendar, Schedule, spans_of
from hub.store.blobs import Blobs
from hub.store.database import Database
from hub.view import Filters, Names, as_json, explain_document, invoices, pressing
from hub.view.wording import deadline, standing

BERLIN = ZoneInfo("Europe/Berlin")
CLOSED = Schedule(
    "submit:ariba",
    BERLIN,
    dt.timedelta(seconds=5),
    None,
    (Calendar(BERLIN, ((), (spans_of("08:00-18:00"))) + ((),) * 5),),
)
NAMES = Names(sending={"ariba": CLOSED}, zones={"north-acme": BERLIN})
TODAY = NOW.date()
DAY = dt.timedelta(days=1)
WAITS = "waits for business hours: opens Tue 08:00 Europe/Berlin"


@pytest.fixture
def filled(db: Database) -> Database:
    """Some that press, some that wait, and some that do neither."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        lanes(rows)
        rows.invoice(Submission.READY, "far", send_by=TODAY + 30 * DAY)
        rows.invoice(Submission.READY, "near", send_by=TODAY + 2 * DAY)
        held = rows.of(rows.invoice(Submission.HELD, "held", send_by=TODAY - DAY))
        rows.finding(held, "the purchase order is missing")
        rows.invoice(Submission.READY, "tried", tries=2)
        rows.invoice(Submission.ACCEPTED, "there", send_by=TODAY, stage=Stage.RECEIVED, sent_at=ago(hours=9))
    return db


def told(db: Database, *, tty: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=tty, color_system=None, legacy_windows=False)
    print_status(console, invoices(db, Filters(), now=NOW), names=NAMES, now=NOW)
    return out.getvalue()


def test_the_list_tells_it_below(filled: Database) -> None:
    """The deadlines by urgency, then one line for each connection that waits; a list for programs stays a list."""
    expected = (
        "held TOO LATE: it had to be sent by 13 Mar, 1 day ago (Held by our rules)",
        "near must be sent by 16 Mar, 2 days left (Waiting to be sent)",
        f"ariba (2 ready) {WAITS}",
    )
    assert expected == standing(invoices(filled, Filters(), now=NOW).rows, NAMES, NOW)
    lines = [line.strip() for line in told(filled, tty=True).splitlines()]
    assert list(expected) == [line for line in lines if line in expected]
    assert 6 == len(told(filled, tty=False).splitlines())


def test_the_explanation_tells_it_above(filled: Database, tmp_path: Any) -> None:
    """Both in whole sentences."""
    out = io.StringIO()
    [near] = [row for row in pressing(filled, now=NOW) if row.number == "near"]
    story = explain_document(filled, Blobs(tmp_path / "store"), near.document_id, now=NOW)
    print_explanations(Console(file=out, width=100), [story], names=NAMES, now=NOW)
    assert [f"Note: it {words}" for words in ("must be sent by 16 Mar, 2 days left", WAITS)] == [
        line for line in out.getvalue().splitlines() if line.startswith("Note")
    ]


def test_the_most_urgent_come_first(filled: Database) -> None:
    """What is at the portal, and what has time, is not among them."""
    assert ["held", "near"] == [row.number for row in pressing(filled, now=NOW)]
    assert ["held"] == [row.number for row in pressing(filled, now=NOW, limit=1)]
    found = {row["number"]: row["send_by"] for row in as_json(invoices(filled, Filters(), now=NOW).rows)}
    assert {"far": "2031-04-13", "near": "2031-03-16", "held": "2031-03-13", "tried": None, "there": None} == found


def test_the_day_is_that_of_the_account(filled: Database) -> None:
    """Half past eleven in the evening in UTC is tomorrow in Berlin."""
    [_, near] = pressing(filled, now=NOW)
    late = dt.datetime(2031, 3, 14, 23, 30, tzinfo=dt.UTC)
    assert "must be sent by 16 Mar, 1 day left" == deadline(near, NAMES, late)
    assert "must be sent by 16 Mar, 2 days left" == deadline(near, Names(), late)
