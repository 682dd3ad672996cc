"""The unified view: one row per document, whichever portal it went to. Reads only.

What is shown is what is known: no stage before the portal said one, an age on every status, and a mark on what is old.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.invoice import Kind
from hub.contract.status import Delivered, Stage, Submission, WhoseMove
from hub.delivery.awaited import FINAL
from hub.delivery.related import WAITS
from hub.requirements.finding import Severity
from hub.store import tables as t
from hub.store.database import Database
from hub.store.types import Amount
from hub.view.filters import Filters
from hub.view.whose_move import (
    ASKS_FOR_DATA,
    Asks,
    Columns,
    Facts,
    Outcome,
    Owner,
    judge,
    outcome_column,
    outcome_of,
    owner_column,
    whose_move_column,
)

# States in which an invoice may still have to go, so that its deadline counts; of what is in doubt nobody knows.
NOT_GONE = (
    *(Submission.DRAFT, Submission.HELD, Submission.READY, Submission.SENDING),
    *(Submission.IN_DOUBT, Submission.NEEDS_HUMAN),
)
PRESSING = dt.timedelta(days=3)  # so long before its last day an invoice is called for
STALE_AFTER = dt.timedelta(hours=4)
PAGE_SIZE = 50


@dataclass(frozen=True)
class InvoiceRow:
    """One document as it stands: its newest revision's submission, and the buyer's stage."""

    document_id: int
    submission_id: int
    revision: int  # 1, 2, 3 …
    number: str
    kind: Kind
    entity: str
    customer: str
    account: str | None
    connection: str | None
    seller_name: str | None
    buyer_name: str | None
    order_number: str | None
    amount: Decimal  # with tax (BT-112), as portals show it; positive for credits too
    payable: Decimal  # what is due (BT-115)
    currency: str
    issue_date: dt.date
    due_date: dt.date | None
    submission: Submission
    stage: Stage | None  # None: the portal has said none
    whose_move: WhoseMove
    outcome: Outcome | None
    next_action: str
    reason_code: str | None  # contract.ReasonCode, or the rule that holds it
    reason_text: str | None
    reason_portal_code: str | None
    portal_reference: str | None
    portal_word: str | None  # the portal's own last word
    since: dt.datetime  # when state or stage last changed
    as_of: dt.datetime | None  # when its portal was last heard on it; None: never
    stale: bool  # at a portal, and not heard for too long
    findings: int  # of its last check
    send_by: dt.date | None  # while it is not at the portal: the last day on which the portal takes it


@dataclass(frozen=True)
class Page:
    """Some rows, and the `after` that continues them."""

    rows: tuple[InvoiceRow, ...]
    next: int | None


_d, _s, _r = t.document.c, t.submission.c, t.revision.c
_newest = t.submission.alias("newest")
_tables = (
    t.document.join(t.submission, _s.document_id == _d.id)
    .join(t.revision, _s.revision_id == _r.id)
    .outerjoin(t.connection, _s.connection == t.connection.c.key)
    .outerjoin(t.account, _s.account == t.account.c.key)
)
# Submissions are made in the order of their revisions; the index on document_id holds the ids in order.
_is_current = _s.id == (
    sa.select(sa.func.max(_newest.c.id)).where(_newest.c.document_id == _d.id).correlate(t.document).scalar_subquery()
)


def _open_task(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(t.task.c.submission_id == _s.id, t.task.c.answered_at.is_(None), *conditions)


def _blocking(column: sa.Column[str]) -> sa.ScalarSelect[str]:
    """Of the first finding that blocks; one that only waits for its original comes last."""
    f = t.finding.c
    return (
        sa.select(column)
        .where(f.submission_id == _s.id, f.check_no == _s.check_no, f.severity == Severity.BLOCK.value)
        .order_by(sa.case((f.rule == WAITS, 1), else_=0), f.id)
        .limit(1)
        .correlate(t.submission)
        .scalar_subquery()
    )


_stopped = sa.exists().where(t.instance.c.armed.is_(sa.false()))
_reason_code = sa.case(
    (_s.state == Submission.ACCEPTED, sa.func.coalesce(_s.stage_reason_code, _s.reason_code)),
    (_s.state == Submission.HELD, sa.func.coalesce(_s.reason_code, _blocking(t.finding.c.rule))),
    else_=_s.reason_code,
)
_facts: Columns = {
    "state": _s.state,
    "stage": _s.stage,
    "owner": owner_column(_reason_code),
    "paused": sa.or_(t.connection.c.paused_at.is_not(None), t.account.c.paused_at.is_not(None), _stopped),
    "asks": sa.case(
        (_open_task(t.task.c.kind.in_(sorted(ASKS_FOR_DATA))), Asks.DATA.value),
        (_open_task(), Asks.WORK.value),
        else_=sa.null(),
    ),
    "tried": _s.tries > 0,
    # Asked only where the tables look at it: it costs a search for each row.
    "may_have_arrived": sa.and_(
        _s.state == Submission.NEEDS_HUMAN,
        sa.exists().where(
            t.attempt.c.submission_id == _s.id, t.attempt.c.delivered.is_distinct_from(Delivered.NO.value)
        ),
    ),
}
_whose_move = whose_move_column(_facts)
_outcome = outcome_column(_facts)


def _matching(filters: Filters) -> list[sa.ColumnElement[bool]]:
    exact: tuple[tuple[sa.ColumnElement[Any], Any], ...] = (
        # As an expression, for the index that begins with it would have most documents sorted to show the first fifty.
        (_d.entity.concat(""), filters.entity),
        (_d.customer, filters.customer),
        (_s.account, filters.account),
        (_d.kind, filters.kind),
        (_whose_move, filters.whose_move),
        (_outcome, filters.outcome),
    )
    conditions: list[sa.ColumnElement[bool]] = [column == value for column, value in exact if value is not None]
    if filters.submissions:
        conditions.append(_s.state.in_(sorted(filters.submissions)))
    if filters.stages:
        heard = _s.stage.in_(sorted(stage for stage in filters.stages if stage is not None))
        conditions.append(sa.or_(heard, _s.stage.is_(None)) if None in filters.stages else heard)
    if filters.text:
        texts = (_d.number, _r.shown_number, _r.order_number, _r.buyer_name, _s.portal_id)
        # SQLite's lower() knows ASCII only; as typed, a name with other letters is found too.
        conditions.append(
            sa.or_(
                _d.number_key.contains(filters.text.casefold(), autoescape=True),
                *(column.contains(filters.text, autoescape=True) for column in texts),
                *(sa.func.lower(column).contains(filters.text.lower(), autoescape=True) for column in texts),
            )
        )
    return conditions


def invoices(
    db: Database,
    filters: Filters,
    *,
    now: dt.datetime,
    stale_after: dt.timedelta = STALE_AFTER,
    after: int | None = None,
    limit: int = PAGE_SIZE,
) -> Page:
    """The documents that match, the newest first, from behind the document `after` on."""
    ids = sa.select(_d.id).select_from(_tables).where(_is_current, *_matching(filters))
    if after is not None:
        ids = ids.where(_d.id < after)
    with db.reading() as tx:
        found = list(tx.execute(ids.order_by(_d.id.desc()).limit(limit + 1)).scalars())
        rows = rows_of(tx, found[:limit], now=now, stale_after=stale_after)
    return Page(rows, found[limit - 1] if len(found) > limit else None)


def pressing(db: Database, *, now: dt.datetime, limit: int = PAGE_SIZE) -> tuple[InvoiceRow, ...]:
    """The documents whose last day to be sent is near or past, the most urgent first."""
    soon = sa.and_(_s.state.in_(NOT_GONE), _s.sent_at.is_(None), _s.send_by <= now.date() + PRESSING)
    ids = sa.select(_d.id).select_from(_tables).where(_is_current, soon).order_by(_s.send_by, _d.id).limit(limit)
    with db.reading() as tx:
        rows = rows_of(tx, list(tx.execute(ids).scalars()), now=now, stale_after=STALE_AFTER)
    return tuple(sorted(rows, key=lambda row: (row.send_by or dt.date.max, row.document_id)))


def counted(filters: Filters) -> sa.Select[Any]:
    """How many documents match and what they amount to, for each set of facts, kind and currency."""
    each = sa.select(*_fact_columns(), _d.kind, _r.currency, _r.total).select_from(_tables)
    rows = each.where(_is_current, *_matching(filters)).subquery()
    groups = [column for column in rows.c if column.name != "total"]
    amount = sa.type_coerce(sa.func.sum(rows.c.total), Amount()).label("amount")
    return sa.select(*groups, sa.func.count().label("documents"), amount).group_by(*groups)


def _fact_columns() -> list[sa.Label[Any]]:
    return [column.label(f"fact_{name}") for name, column in _facts.items()]


def facts_of(row: Row[Any]) -> Facts:
    """What `_fact_columns` read."""
    return Facts(
        state=Submission(row.fact_state),
        stage=Stage(row.fact_stage) if row.fact_stage else None,
        owner=Owner(row.fact_owner) if row.fact_owner else None,
        paused=bool(row.fact_paused),
        asks=Asks(row.fact_asks) if row.fact_asks else None,
        tried=bool(row.fact_tried),
        may_have_arrived=bool(row.fact_may_have_arrived),
    )


_OF_SUBMISSION = (
    *("id", "document_id", "account", "connection", "state", "since", "check_no", "tries", "portal_id", "last_raw"),
    *("reason_text", "reason_portal_code", "stage", "stage_since", "stage_reason_code", "stage_reason_text"),
    *("stage_reason_portal_code", "first_attempt_at", "sent_at", "intake_at", "heard_at", "send_by"),
)
_OF_REVISION = (
    *("seq", "seller_name", "buyer_name", "order_number", "total", "payable", "currency", "issue_date", "due_date"),
)


def rows_of(
    tx: Connection, document_ids: Sequence[int], *, now: dt.datetime, stale_after: dt.timedelta
) -> tuple[InvoiceRow, ...]:
    """The rows of these documents, the newest first."""
    f = t.finding.c
    findings = (
        sa.select(sa.func.count())
        .select_from(t.finding)
        .where(f.submission_id == _s.id, f.check_no == _s.check_no)
        .correlate(t.submission)
        .scalar_subquery()
    )
    query: sa.Select[Any] = (
        sa.select(
            *(_s[name] for name in _OF_SUBMISSION),
            *(_d[name] for name in ("entity", "customer", "kind", "number")),
            *(_r[name] for name in _OF_REVISION),
            t.account.c.heard_at.label("account_heard_at"),
            t.connection.c.heard_at.label("connection_heard_at"),
            _reason_code.label("why_code"),
            findings.label("findings"),
            *_fact_columns(),
        )
        .select_from(_tables)
        .where(_d.id.in_(document_ids), _is_current)
        .order_by(_d.id.desc())
    )
    rows = tx.execute(query).all()
    texts = _explanations(tx, rows)
    return tuple(_row(row, texts.get(row.id), now=now, stale_after=stale_after) for row in rows)


# States whose reason columns are empty, and which are still explained: by findings, or by the move that led there.
_EXPLAINED_BY_MOVE = (Submission.READY, Submission.IN_DOUBT, Submission.NEEDS_HUMAN)


def _explanations(tx: Connection, rows: Sequence[Row[Any]]) -> dict[int, str]:
    """Why a submission stands where it does, where its own columns do not say."""
    f, n = t.finding.c, t.transition.c
    held = {row.id: row.check_no for row in rows if row.state == Submission.HELD and not row.reason_text}
    moved = [
        row.id
        for row in rows
        if row.state in _EXPLAINED_BY_MOVE and not row.reason_text and (row.state != Submission.READY or row.tries)
    ]
    texts: dict[int, str] = {}
    blocking = sa.select(f.submission_id, f.check_no, f.message).where(
        f.submission_id.in_(held), f.severity == Severity.BLOCK.value
    )
    for finding in tx.execute(blocking.order_by(f.id)) if held else ():
        if finding.check_no == held[finding.submission_id]:
            before = texts.get(finding.submission_id)
            texts[finding.submission_id] = f"{before}; {finding.message}" if before else finding.message
    last = sa.select(sa.func.max(n.id)).where(n.submission_id.in_(moved), n.subject == "submission")
    whys = sa.select(n.submission_id, n.why).where(n.id.in_(last.group_by(n.submission_id)))
    return texts | ({row.submission_id: row.why for row in tx.execute(whys)} if moved else {})


def _row(row: Row[Any], text: str | None, *, now: dt.datetime, stale_after: dt.timedelta) -> InvoiceRow:
    facts = facts_of(row)
    state, stage = facts.state, facts.stage
    rule = judge(facts)
    by_stage = state is Submission.ACCEPTED and row.stage_reason_code is not None
    as_of = _as_of(row, facts)
    return InvoiceRow(
        document_id=row.document_id,
        submission_id=row.id,
        revision=row.seq,
        number=row.number,
        kind=Kind(row.kind),
        entity=row.entity,
        customer=row.customer,
        account=row.account,
        connection=row.connection,
        seller_name=row.seller_name,
        buyer_name=row.buyer_name,
        order_number=row.order_number,
        amount=row.total,
        payable=row.payable,
        currency=row.currency,
        issue_date=row.issue_date,
        due_date=row.due_date,
        submission=state,
        stage=stage,
        whose_move=rule.who,
        outcome=outcome_of(facts),
        next_action=rule.action,
        reason_code=row.why_code,
        reason_text=(row.stage_reason_text if by_stage else row.reason_text) or text,
        reason_portal_code=row.stage_reason_portal_code if by_stage else row.reason_portal_code,
        portal_reference=row.portal_id,
        portal_word=row.last_raw,
        since=max(row.since, row.stage_since)
        if stage and state is Submission.ACCEPTED and row.stage_since
        else row.since,
        as_of=as_of,
        stale=_is_awaited(facts) and now - (as_of or row.sent_at or row.since) > stale_after,
        findings=row.findings,
        send_by=row.send_by if state in NOT_GONE and row.sent_at is None else None,
    )


def _is_awaited(facts: Facts) -> bool:
    """Whether a portal's word is awaited; of what is paid, rejected or cancelled nothing more is expected."""
    return _is_at_portal(facts) and facts.stage not in FINAL


def _is_at_portal(facts: Facts) -> bool:
    """Whether a portal has the document, or may have it."""
    return facts.state in (Submission.IN_DOUBT, Submission.SENT, Submission.ACCEPTED) or facts.may_have_arrived


def _as_of(row: Row[Any], facts: Facts) -> dt.datetime | None:
    """When its portal was last heard on it: a word about it, or a poll that ended well after it had gone there."""
    heard = [row.heard_at, row.intake_at]
    if facts.state is Submission.REFUSED:
        heard.append(row.since)
    # Both, for an account that was moved to another connection is heard there, and not where this one went.
    polled = (row.account_heard_at, row.connection_heard_at)
    if _is_at_portal(facts) and None not in polled:
        went_at = row.sent_at or row.first_attempt_at or row.since
        heard += [at for at in (min(polled),) if at >= went_at]
    return max((at for at in heard if at is not None), default=None)


def as_json(rows: Iterable[InvoiceRow]) -> list[dict[str, str | int | bool | None]]:
    """One object for each row, of JSON values: amounts as strings, moments in ISO 8601, UTC."""
    return [
        {part.name: _json_value(getattr(row, part.name)) for part in dataclasses.fields(InvoiceRow)} for row in rows
    ]


def _json_value(value: object) -> str | int | bool | None:
    match value:
        case None | bool() | int():
            return value
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        case dt.date():
            return value.isoformat()
        case _:
            return str(value)
