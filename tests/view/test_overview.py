from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from ledger_rows import NOW, Rows, ago, lanes
from working_day import NAMES

from hub.contract.invoice import Kind, Money
from hub.contract.status import Submission, WhoseMove
from hub.store import tables as t
from hub.store.database import Database
from hub.view import Filters, Outcome, open_tasks, read_filters, summary, unmatched
from hub.view.wording import standstill


def of(kind: Kind, amount: str, currency: str = "EUR") -> dict[str, Any]:
    return {"document": {"kind": kind}, "revision": {"total": Decimal(amount), "currency": currency}}


def test_money_is_summed_for_each_currency_alone(db: Database) -> None:
    """Credits are taken off, debits added, cancellations left out, and no currency meets another."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        lanes(rows)
        rows.invoice(**of(Kind.INVOICE, "0.10"))
        rows.invoice(**of(Kind.INVOICE, "0.20"))
        rows.invoice(**of(Kind.CREDIT, "1000.00"))
        rows.invoice(**of(Kind.DEBIT, "5.0005"))
        rows.invoice(**of(Kind.CANCELLATION, "77.00"))
        rows.invoice(**of(Kind.INVOICE, "12.00", "USD"))
    tally = summary(db).moves[WhoseMove.PORTAL]
    assert (6, (Money(Decimal("-994.6995"), "EUR"), Money(Decimal("12.00"), "USD"))) == (tally.count, tally.money)
    assert tally == summary(db).total


def test_an_empty_ledger_has_a_summary(db: Database) -> None:
    """Nothing is here: every count is zero, and nothing claims to run or to be stopped."""
    empty = summary(db)
    assert (0, ()) == (empty.total.count, empty.total.money)
    assert dict.fromkeys(WhoseMove, 0) == {who: tally.count for who, tally in empty.moves.items()}
    assert dict.fromkeys(Outcome, 0) == empty.outcomes
    assert (True, (), (), 0, 0) == (
        empty.armed,
        empty.connections,
        empty.stopped_accounts,
        empty.open_tasks,
        empty.unmatched,
    )


def test_only_the_newest_revision_is_counted(db: Database) -> None:
    """A corrected invoice counts once, with what it amounts to now."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        document = rows.invoice(Submission.SUPERSEDED)
        rows.submission(document, Submission.READY, revision={"total": Decimal("1.00")})
    assert (1, (Money(Decimal("1.00"), "EUR"),)) == (summary(db).total.count, summary(db).total.money)


def test_the_summary_follows_the_filters(day: Any) -> None:
    """The counts of a search are the counts of what it finds."""
    found = summary(day.db, read_filters(day.db, NAMES, customer="cedar"))
    assert (1, 1) == (found.total.count, found.moves[WhoseMove.US_OPS].count)


def test_how_the_hub_is_doing(day: Any) -> None:
    """Each connection with its pause, its error and its last good poll; each paused account."""
    all_ = summary(day.db)
    lanes = {lane.key: lane for lane in all_.connections}
    assert ["ariba", "by-hand", "openfield"] == sorted(lanes)
    assert (ago(minutes=9), None) == (lanes["ariba"].heard_at, lanes["ariba"].poll_error)
    assert (ago(hours=31), ago(hours=30)) == (lanes["openfield"].heard_at, lanes["openfield"].paused_at)
    assert ["south-basin"] == [lane.key for lane in all_.stopped_accounts]
    assert (3, 2) == (all_.open_tasks, all_.unmatched)


def test_a_disarmed_workspace_says_so(db: Database) -> None:
    """Nothing is sent, and why."""
    with db.writing("test") as tx:
        Rows(tx).put(t.instance, id="i", host="h", created_at=NOW, armed=False, disarmed_why="a restored copy")
    assert (False, "a restored copy") == (summary(db).armed, summary(db).disarmed_why)


def test_open_tasks_name_their_invoice(day: Any) -> None:
    """The oldest first, with the document that each is about, or none."""
    tasks = open_tasks(day.db)
    assert [day.ids["hostile"], day.ids["manual"], None] == [task.document_id for task in tasks]
    assert ("INV-20790", "cedar", "openfield") == (tasks[1].number, tasks[1].customer, tasks[2].connection)


def test_what_is_left_alone_for_a_while_is_told_until_then(db: Database) -> None:
    """Connections and accounts; when the time has come they run again, with their failures still counted."""
    until = NOW + dt.timedelta(minutes=1)
    failing = {"failures": 3, "retry_at": until, "failing_why": "503"}
    with db.writing("test") as tx:
        rows = Rows(tx)
        rows.lane(t.connection, "ariba", **failing)
        rows.lane(t.connection, "coupa")
        rows.lane(t.account, "north-acme", **failing)
    all_ = summary(db)
    assert ["ariba", "north-acme"] == [lane.key for lane in all_.stopped(NOW)]
    told = "is stopped until 2031-03-14 09:31:00 UTC after 3 failures in a row: 503"
    assert (f"ariba {told}", f"north-acme {told}") == standstill(all_, NOW)
    assert () == standstill(all_, until)


def test_unmatched_words_are_shown_by_document(db: Database) -> None:
    """How often, since when, the last word, and whether a delivered invoice of ours bears the number."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        rows.invoice(Submission.SENT, number="INV-7", connection="ariba", sent_at=NOW)
        rows.event(None, "Sent", "accepted", number="INV-7", observed_at=ago(hours=3))
        for at, raw in ((ago(hours=2), "Sent"), (ago(hours=1), "Paid")):
            rows.event(None, raw, "unknown", number="INV-9", portal_id="P-9", observed_at=at)
        rows.event(None, "Sent", "accepted", number="INV-9", connection="coupa")
    told = [(one.connection, one.number, one.ours, one.events, one.raw, one.since) for one in unmatched(db)]
    assert [
        ("coupa", "INV-9", False, 1, "Sent", ago(hours=2)),
        ("ariba", "INV-9", False, 2, "Paid", ago(hours=2)),
        ("ariba", "INV-7", True, 1, "Sent", ago(hours=3)),
    ] == told
    assert ["coupa"] == [one.connection for one in unmatched(db, connection="coupa")]


def test_unmatched_words_are_shown(day: Any) -> None:
    """What a portal said of a document that we do not know is not lost."""
    assert ["openfield", "ariba"] == [event.connection for event in unmatched(day.db)]
    assert 1 == len(unmatched(day.db, limit=1))
    assert summary(day.db, Filters(text="nothing")).unmatched == 2
