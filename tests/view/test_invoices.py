from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from ledger_rows import NOW, Rows, ago, every_state_and_stage, lanes, many
from working_day import NAMES

from hub.contract.invoice import Kind
from hub.contract.status import ReasonCode, Stage, Submission, WhoseMove
from hub.store import tables as t
from hub.store.database import Database
from hub.view import FilterError, Filters, InvoiceRow, Outcome, as_json, invoices, read_filters, summary
from hub.view.wording import STAGES, SUBMISSIONS

S = Submission


def only(db: Database, **filters: Any) -> InvoiceRow:
    (row,) = invoices(db, Filters(**filters), now=NOW).rows
    return row


def numbers(db: Database, filters: Filters) -> list[str]:
    return [row.number for row in invoices(db, filters, now=NOW).rows]


def put(db: Database, *args: Any, **values: Any) -> int:
    """One invoice with its connection and account."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        lanes(rows)
        return rows.invoice(*args, **values)


def test_every_state_and_stage_is_shown_as_it_is(db: Database) -> None:
    """What the ledger says is what the row says; no stage is made up, and an unknown one stays unknown."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        lanes(rows)
        documents = every_state_and_stage(rows)
    shown = {row.document_id: row for row in invoices(db, Filters(), now=NOW, limit=1000).rows}
    assert set(documents.values()) == set(shown)
    for (state, stage), document in documents.items():
        assert (state, stage) == (shown[document].submission, shown[document].stage)
    assert len(set(SUBMISSIONS.values())) == len(S) == len(SUBMISSIONS)
    assert len(set(STAGES.values())) == len(Stage) + 1 == len(STAGES)
    assert ("—", "Unknown") == (STAGES[None], STAGES[Stage.UNKNOWN])


def test_the_newest_revision_speaks_for_its_document(db: Database) -> None:
    """A corrected invoice is one row: its newest revision's."""
    document = put(db, S.SUPERSEDED, "INV-1")
    with db.writing("test") as tx:
        Rows(tx).submission(document, S.READY, revision={"total": Decimal("99.90")})
    row = only(db)
    assert (2, S.READY, Decimal("99.90")) == (row.revision, row.submission, row.amount)
    assert [] == numbers(db, Filters(submissions=frozenset({S.SUPERSEDED})))


def test_a_held_invoice_is_explained_by_its_last_check(db: Database) -> None:
    """The first finding that blocks is the reason; all of them are its text; warnings and older checks are not."""
    document = put(db, S.HELD, "INV-1", check_no=1)
    with db.writing("test") as tx:
        rows = Rows(tx)
        submission = rows.of(document)
        rows.finding(submission, "an old problem", rule="old")
        tx.execute(t.submission.update().values(check_no=2))
        rows.finding(submission, "a warning", severity="warn", rule="w")
        rows.finding(submission, "waits for its invoice", rule="depends_on")
        rows.finding(submission, "no order", rule="po_required")
    row = only(db)
    assert ("po_required", "waits for its invoice; no order") == (row.reason_code, row.reason_text)
    assert (3, WhoseMove.US_DATA) == (row.findings, row.whose_move)


def test_a_held_credit_that_only_waits_is_nobodys_move(db: Database) -> None:
    """Where nothing but its invoice is waited for, nobody is asked to correct anything."""
    document = put(db, S.HELD, "CN-1", check_no=1)
    with db.writing("test") as tx:
        rows = Rows(tx)
        rows.finding(rows.of(document), "waits for its invoice", rule="depends_on")
    row = only(db)
    assert ("depends_on", WhoseMove.NOBODY_UNTIL) == (row.reason_code, row.whose_move)


def test_the_reasons_own_columns_come_first(db: Database) -> None:
    """The buyer's reason belongs to the stage, the portal's to the submission."""
    reason = {"reason_code": ReasonCode.OTHER, "reason_text": "ours", "reason_portal_code": "A"}
    stage = {"stage_reason_code": ReasonCode.SUPPLIER_TAX, "stage_reason_text": "tax", "stage_reason_portal_code": "B"}
    put(db, S.ACCEPTED, "INV-1", stage=Stage.REJECTED, **reason, **stage)
    row = only(db)
    assert (ReasonCode.SUPPLIER_TAX, "tax", "B") == (row.reason_code, row.reason_text, row.reason_portal_code)
    with db.writing("test") as tx:
        tx.execute(t.submission.update().values(state=S.REFUSED))
    row = only(db)
    assert (ReasonCode.OTHER, "ours", "A") == (row.reason_code, row.reason_text, row.reason_portal_code)


def test_a_state_without_a_reason_is_explained_by_the_move_to_it(db: Database) -> None:
    """In doubt, stuck or tried in vain: the transition says why."""
    document = put(db, S.IN_DOUBT, "INV-1")
    with db.writing("test") as tx:
        rows = Rows(tx)
        rows.move(rows.of(document), "ready", "sending", "claimed")
        rows.move(rows.of(document), "sending", "in_doubt", "the answer was cut off")
        rows.move(rows.of(document), None, None, "something else", subject="task")
    assert "the answer was cut off" == only(db).reason_text


MOVED = ago(minutes=40)


@pytest.mark.parametrize(
    ("values", "polled", "as_of", "stale"),
    [
        ({"state": S.SENT, "sent_at": ago(hours=1)}, ago(minutes=10), ago(minutes=10), False),
        ({"state": S.SENT, "sent_at": ago(minutes=5)}, ago(minutes=10), None, False),
        ({"state": S.SENT, "sent_at": ago(hours=6)}, None, None, True),
        ({"state": S.SENT, "sent_at": ago(hours=6)}, ago(hours=5), ago(hours=5), True),
        ({"state": S.ACCEPTED, "sent_at": ago(hours=6), "heard_at": ago(hours=1)}, ago(hours=5), ago(hours=1), False),
        ({"state": S.ACCEPTED, "sent_at": ago(hours=6), "heard_at": ago(hours=5)}, None, ago(hours=5), True),
        ({"state": S.ACCEPTED, "stage": Stage.PAID, "heard_at": ago(days=9)}, None, ago(days=9), False),
        ({"state": S.ACCEPTED, "sent_at": ago(hours=2), "intake_at": ago(hours=2)}, None, ago(hours=2), False),
        ({"state": S.IN_DOUBT, "first_attempt_at": ago(hours=6)}, ago(hours=7), None, True),
        ({"state": S.REFUSED, "first_attempt_at": ago(hours=6)}, ago(minutes=1), MOVED, False),
        ({"state": S.HELD}, ago(minutes=1), None, False),
        ({"state": S.READY, "first_attempt_at": ago(hours=6)}, ago(minutes=1), None, False),
        ({"state": S.NEEDS_HUMAN}, None, None, False),
    ],
    ids=str,
)
def test_a_status_is_as_old_as_the_last_word_on_it(
    db: Database, values: dict[str, Any], polled: dt.datetime | None, as_of: dt.datetime | None, *, stale: bool
) -> None:
    """A poll of its account counts for what was at the portal by then; without one, only words about it count.

    That others of the same connection were heard a minute ago makes nothing fresher.
    """
    with db.writing("test") as tx:
        rows = Rows(tx)
        rows.lane(t.connection, "ariba", heard_at=ago(minutes=1), polled_at=ago(minutes=1))
        rows.lane(t.account, "north-acme", heard_at=polled, polled_at=ago(minutes=1))
        since = MOVED if values["state"] == S.REFUSED else ago(hours=9)
        rows.invoice(number="INV-1", since=since, **values)
    row = only(db)
    assert (as_of, stale) == (row.as_of, row.stale)


def test_an_account_that_moved_is_not_heard_where_it_was(db: Database) -> None:
    """Its new connection tells of it, and nothing of what went through the old one."""
    with db.writing("test") as tx:
        rows = Rows(tx)
        rows.lane(t.connection, "old", heard_at=ago(hours=3), polled_at=ago(minutes=1))
        rows.lane(t.account, "north-acme", heard_at=ago(minutes=1), polled_at=ago(minutes=1))
        rows.invoice(S.SENT, "INV-1", connection="old", sent_at=ago(hours=9))
    assert ago(hours=3) == only(db).as_of


def test_how_old_is_stale_is_told_from_outside(db: Database) -> None:
    """The same status is fresh or stale by the age that is still believed."""
    put(db, S.SENT, "INV-1", sent_at=ago(hours=1))
    found = [invoices(db, Filters(), now=NOW, stale_after=dt.timedelta(minutes=m)).rows[0].stale for m in (9, 10, 11)]
    assert [True, False, False] == found


def test_since_is_the_last_change_of_either_machine(db: Database) -> None:
    """A stage that moved later is what the row's age counts from."""
    put(db, S.ACCEPTED, "INV-1", since=ago(hours=9), stage=Stage.APPROVED, stage_since=ago(hours=2))
    assert ago(hours=2) == only(db).since
    with db.writing("test") as tx:
        tx.execute(t.submission.update().values(since=ago(hours=1)))
    assert ago(hours=1) == only(db).since


@pytest.mark.parametrize(
    "stop",
    [
        lambda rows: rows.tx.execute(t.connection.update().values(paused_at=NOW)),
        lambda rows: rows.tx.execute(t.account.update().values(paused_at=NOW)),
        lambda rows: rows.put(t.instance, id="i", host="h", created_at=NOW, armed=False),
    ],
    ids=["connection", "account", "disarmed"],
)
def test_a_pause_makes_what_is_ready_ours(db: Database, stop: Callable[[Rows], object]) -> None:
    """Nothing goes by itself while its connection, its account or all sending is stopped."""
    put(db, S.READY, "INV-1")
    assert WhoseMove.NOBODY_UNTIL == only(db).whose_move
    with db.writing("test") as tx:
        stop(Rows(tx))
    assert WhoseMove.US_OPS == only(db).whose_move


def test_an_open_task_is_ours_until_it_is_answered(db: Database) -> None:
    """A task that waits decides; an answered one does not."""
    document = put(db, S.ACCEPTED, "INV-1", stage=Stage.PAID)
    with db.writing("test") as tx:
        rows = Rows(tx)
        rows.task(rows.of(document), "look")
        rows.task(rows.of(document), "decide", answered_at=NOW)
    assert WhoseMove.US_OPS == only(db).whose_move
    with db.writing("test") as tx:
        tx.execute(t.task.update().values(answered_at=NOW))
    assert WhoseMove.NOBODY_UNTIL == only(db).whose_move


# ---- Filters


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"text": "inv-2081"}, ["INV-20811", "INV-20815"]),
        ({"text": "  INV-20811 "}, ["INV-20811"]),
        ({"text": "po-14"}, ["INV-20815"]),
        ({"text": "cedar"}, ["INV-20790"]),
        ({"text": "الخليج"}, ["فاتورة-٤٤"]),
        ({"text": "%"}, []),
        ({"text": "INV_20811"}, []),
        ({"customer": "cedar"}, ["INV-20790"]),
        ({"entity": "south", "submissions": ["ready"]}, ["SV-3301"]),
        ({"account": "south-basin", "stages": ["in_review"]}, ["SV-3190"]),
        ({"kind": "credit"}, ["CN-118"]),
        ({"stages": ["paid", "on_hold"]}, ["INV-20700", "INV-20815"]),
        ({"stages": ["none"], "submissions": ["accepted"]}, ["INV-20850"]),
        ({"outcome": "refused"}, ["INV-20861"]),
        ({"outcome": "unknown"}, ["INV-20740", "SV-3288"]),
        ({"whose_move": "portal"}, ["2031/NORTH-PUMPS/ABERDEEN-TERMINAL-4/000000004711-REV-B", "INV-20896"]),
        ({"customer": "?9f8e7d6c5b4a"}, ["فاتورة-٤٤"]),
    ],
    ids=str,
)
def test_filters(day: Any, filters: dict[str, Any], found: list[str]) -> None:
    """Each filter finds what it names, and several hold together."""
    assert found == sorted(numbers(day.db, read_filters(day.db, NAMES, **filters)))


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"customer": "acmee"}, "customer: 'acmee' is not known; did you mean acme? Known: acme, basin, cedar"),
        ({"entity": "west"}, "entity: 'west' is not known. Known: north, south"),
        ({"account": "x"}, "account: 'x' is not known. Known: north-acme, south-basin"),
        ({"kind": "bill"}, "kind: 'bill' is not known. Known: cancellation, credit, debit, invoice"),
        ({"stages": ["payed"]}, "stage: 'payed' is not known; did you mean paid? Known: approved, cancelled,"),
        ({"submissions": ["hold"]}, "submission: 'hold' is not known; did you mean held? Known: accepted, draft,"),
        ({"whose_move": "us"}, "whose_move: 'us' is not known"),
        ({"outcome": "bad"}, "outcome: 'bad' is not known"),
    ],
    ids=str,
)
def test_an_unknown_value_names_the_known_ones(day: Any, filters: dict[str, Any], told: str) -> None:
    """A typo is an error, never an empty list."""
    with pytest.raises(FilterError) as caught:
        read_filters(day.db, NAMES, **filters)
    assert told in str(caught.value)


def test_rows_and_the_filter_by_move_agree(day: Any) -> None:
    """Each tab holds exactly the rows that say so, and each outcome too."""
    rows = invoices(day.db, Filters(), now=NOW).rows
    for who in WhoseMove:
        assert [row.number for row in rows if row.whose_move is who] == numbers(day.db, Filters(whose_move=who))
    for outcome in Outcome:
        assert [row.number for row in rows if row.outcome is outcome] == numbers(day.db, Filters(outcome=outcome))


# ---- Pages


def test_pages_show_each_document_once(db: Database) -> None:
    """Page after page in order, and nothing twice, even while new ones arrive on top."""
    many(db, 130)
    seen: list[int] = []
    after = None
    while True:
        page = invoices(db, Filters(), now=NOW, after=after, limit=50)
        seen += [row.document_id for row in page.rows]
        with db.writing("test") as tx:
            Rows(tx).invoice(number=f"NEW-{after}")
        after = page.next
        if after is None:
            break
    assert list(range(130, 0, -1)) == seen


def test_a_full_last_page_has_no_next(db: Database) -> None:
    """`next` is given only where there is more."""
    many(db, 50)
    assert (50, None) == (len((page := invoices(db, Filters(), now=NOW)).rows), page.next)
    assert ((), None) == ((page := invoices(db, Filters(text="nothing"), now=NOW)).rows, page.next)


def _plans(db: Database, filters: Filters, after: int | None) -> list[list[tuple[int, str]]]:
    """How SQLite goes about each statement that one page asks: for each part its parent's number and what it does."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        invoices(db, filters, now=NOW, after=after)
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
    with db.reading() as tx:
        return [
            [(row.parent, row.detail) for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            for statement, parameters in asked
            if statement.startswith("SELECT")
        ]


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize(
    "filters",
    [Filters(), Filters(entity="north"), Filters(whose_move=WhoseMove.BUYER), Filters(kind=Kind.INVOICE)],
    ids=str,
)
@pytest.mark.parametrize("after", [None, 40])
def test_pages_are_found_by_index(db: Database, filters: Filters, after: int | None, *, analyzed: bool) -> None:
    """The first page and a deep one walk the documents in order: no table is scanned, and nothing is sorted."""
    many(db, 2000)
    if analyzed:
        with db.writing("test") as tx:
            tx.exec_driver_sql("ANALYZE")
    found, *told = _plans(db, filters, after)
    every = [plan for _, plan in itertools.chain(found, *told)]
    assert [] == [plan for plan in every if re.match(r"SCAN (?!document\b|instance\b|CONSTANT)", plan)]
    # Documents are walked in the order of their key, only as far as the page; the few that are found may be sorted.
    assert ([] if after else ["SCAN document"]) == [plan for plan in every if plan.startswith("SCAN document")]
    assert [] == [plan for parent, plan in found if parent == 0 and "ORDER BY" in plan]


# ---- JSON


def test_json_has_these_names(day: Any) -> None:
    """One object an invoice, of JSON values, with the names that other programs rely on."""
    (row,) = [row for row in as_json(invoices(day.db, Filters(), now=NOW).rows) if row["number"] == "INV-20861"]
    promised = {
        "number": "INV-20861",
        "kind": "invoice",
        "entity": "north",
        "customer": "acme",
        "account": "north-acme",
        "amount": "1210.00",
        "currency": "EUR",
        "submission": "refused",
        "stage": None,
        "whose_move": "us_data",
        "reason_code": "supplier_line_mismatch",
        "reason_text": "PO line 20 is not known",
        "portal_reference": None,
        "since": "2031-03-14T04:30:00Z",
        "as_of": "2031-03-14T04:30:00Z",
        "due_date": "2031-03-31",
        "outcome": "refused",
    }
    assert promised == {name: row[name] for name in promised}
    assert row == json.loads(json.dumps(row))


def test_counts_are_the_counts_of_the_rows(day: Any) -> None:
    """What the summary counts is what the list lists."""
    rows = invoices(day.db, Filters(), now=NOW).rows
    all_ = summary(day.db)
    assert len(rows) == all_.total.count
    for who, tally in all_.moves.items():
        assert len([row for row in rows if row.whose_move is who]) == tally.count
    for outcome, count in all_.outcomes.items():
        assert len([row for row in rows if row.outcome is outcome]) == count
