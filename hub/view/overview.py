"""The whole at a glance: how many invoices and how much money wait for whom, and how the hub itself is doing."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.invoice import Kind, Money
from hub.contract.status import WhoseMove
from hub.store import tables as t
from hub.store.database import Database
from hub.view.filters import Filters
from hub.view.invoices import counted, facts_of
from hub.view.whose_move import Outcome, judge, outcome_of


@dataclass(frozen=True)
class Tally:
    """So many documents, and their money: a sum for each currency, credits taken off, cancellations left out."""

    count: int = 0
    money: tuple[Money, ...] = ()


@dataclass(frozen=True)
class Lane:
    """A connection or an account, and whether it runs."""

    key: str
    paused_at: dt.datetime | None
    paused_why: str | None
    polled_at: dt.datetime | None = None  # the last poll, however it ended
    heard_at: dt.datetime | None = None  # the last poll that ended well
    poll_error: str | None = None
    failures: int = 0  # in a row
    retry_at: dt.datetime | None = None  # until then nothing is sent, for too much has failed
    failing_why: str | None = None

    def is_held(self, now: dt.datetime) -> bool:
        """Whether it is left alone for a while."""
        return self.retry_at is not None and self.retry_at > now


@dataclass(frozen=True)
class Summary:
    """The counts of the worklist, and the state of the hub."""

    total: Tally
    moves: Mapping[WhoseMove, Tally]  # each of them, in order
    outcomes: Mapping[Outcome, int]
    unmatched: int  # events that belong to no submission we know
    open_tasks: int
    connections: tuple[Lane, ...]
    stopped_accounts: tuple[Lane, ...]  # paused, or failing
    armed: bool  # False: nothing is sent until a person arms the workspace
    disarmed_why: str | None

    def stopped(self, now: dt.datetime) -> list[Lane]:
        """Connections and accounts that send nothing now: paused, or left alone after failures."""
        return [lane for lane in (*self.connections, *self.stopped_accounts) if lane.paused_at or lane.is_held(now)]


@dataclass(frozen=True)
class OpenTask:
    """What a person is asked for."""

    id: int
    kind: str
    scope: str
    title: str
    action: str
    url: str | None
    created_at: dt.datetime
    expires_at: dt.datetime | None
    connection: str | None
    account: str | None
    document_id: int | None  # of the invoice that it is about
    number: str | None
    customer: str | None


@dataclass(frozen=True)
class UnmatchedDocument:
    """A document that a portal spoke of and that is surely none of those we know; with its last word."""

    connection: str
    number: str | None
    portal_id: str | None
    ours: bool  # an invoice that we know to be there bears its number, and yet it is not sure that it is meant
    events: int
    since: dt.datetime  # when it was first heard of
    observed_at: dt.datetime
    concerns: str
    word: str
    raw: str
    note: str
    document_sha256: str | None


_SIGNS = {Kind.INVOICE: 1, Kind.DEBIT: 1, Kind.CREDIT: -1, Kind.CANCELLATION: 0}


def summary(db: Database, filters: Filters | None = None) -> Summary:
    """Counts and money of what matches, whoever's move it is; each currency for itself."""
    with db.reading() as tx:
        by_move: dict[WhoseMove, dict[str, Decimal]] = {who: defaultdict(Decimal) for who in WhoseMove}
        counts: dict[WhoseMove, int] = dict.fromkeys(WhoseMove, 0)
        outcomes = dict.fromkeys(Outcome, 0)
        for row in tx.execute(counted(filters or Filters())):
            facts = facts_of(row)
            who, outcome = judge(facts).who, outcome_of(facts)
            counts[who] += row.documents
            by_move[who][row.currency] += row.amount * _SIGNS[Kind(row.kind)]
            if outcome is not None:
                outcomes[outcome] += row.documents
        whole: dict[str, Decimal] = defaultdict(Decimal)
        for sums in by_move.values():
            for currency, amount in sums.items():
                whole[currency] += amount
        instance = tx.execute(sa.select(t.instance.c.armed, t.instance.c.disarmed_why)).first()
        return Summary(
            total=_tally(sum(counts.values()), whole),
            moves={who: _tally(counts[who], by_move[who]) for who in WhoseMove},
            outcomes=outcomes,
            unmatched=_count(tx, t.event, t.event.c.submission_id.is_(None)),
            open_tasks=_count(tx, t.task, t.task.c.answered_at.is_(None)),
            connections=_lanes(tx, t.connection),
            stopped_accounts=tuple(lane for lane in _lanes(tx, t.account) if lane.paused_at or lane.retry_at),
            armed=instance is None or bool(instance.armed),
            disarmed_why=instance.disarmed_why if instance else None,
        )


def _tally(count: int, sums: Mapping[str, Decimal]) -> Tally:
    return Tally(count, tuple(Money(sums[currency], currency) for currency in sorted(sums)))


def _count(tx: Connection, table: sa.Table, condition: sa.ColumnElement[bool]) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()


_LANE = (
    *("key", "paused_at", "paused_why", "polled_at", "heard_at", "poll_error"),
    *("failures", "retry_at", "failing_why"),
)


def _lanes(tx: Connection, table: sa.Table) -> tuple[Lane, ...]:
    columns = [table.c[name] for name in _LANE if name in table.c]
    return tuple(Lane(**row._mapping) for row in tx.execute(sa.select(*columns).order_by(table.c.key)))  # noqa: SLF001 - SQLAlchemy's public name


def open_tasks(db: Database) -> tuple[OpenTask, ...]:
    """Every task that waits for an answer, the oldest first."""
    k, d = t.task.c, t.document.c
    query = (
        sa.select(
            *(k[name] for name in ("id", "kind", "scope", "title", "action", "url", "created_at", "expires_at")),
            *(k[name] for name in ("connection", "account")),
            d.id.label("document_id"),
            d.number,
            d.customer,
        )
        .outerjoin(t.submission, k.submission_id == t.submission.c.id)
        .outerjoin(t.document, t.submission.c.document_id == d.id)
        .where(k.answered_at.is_(None))
        .order_by(k.id)
    )
    with db.reading() as tx:
        return tuple(OpenTask(**row._mapping) for row in tx.execute(query))  # noqa: SLF001 - SQLAlchemy's public name


def unmatched(db: Database, limit: int = 100, connection: str | None = None) -> tuple[UnmatchedDocument, ...]:
    """The documents that portals spoke of and nobody here surely knows, what was heard of last first."""
    e, s, r = t.event.c, t.submission.c, t.revision.c
    which = (e.connection, e.portal_customer, e.number, e.portal_id, e.payload_id)
    of = [] if connection is None else [e.connection == connection]
    documents = (
        sa.select(
            sa.func.max(e.id).label("last"), sa.func.count().label("events"), sa.func.min(e.observed_at).label("since")
        )
        .where(e.submission_id.is_(None), *of)
        .group_by(*which)
        .subquery()
    )
    there = sa.and_(s.connection == e.connection, s.sent_at.is_not(None), r.shown_number == e.number)
    ours = sa.exists().where(s.revision_id == r.id, there).label("ours")
    last = ("connection", "number", "portal_id", "observed_at", "concerns", "word", "raw", "note", "document_sha256")
    query = (
        sa.select(*(e[name] for name in last), ours, documents.c.events, documents.c.since)
        .join(documents, e.id == documents.c.last)
        .order_by(e.id.desc())
        .limit(limit)
    )
    with db.reading() as tx:
        return tuple(UnmatchedDocument(**row._mapping) for row in tx.execute(query))  # noqa: SLF001 - SQLAlchemy's public name
