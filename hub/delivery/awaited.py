"""Whose status is still awaited, or may yet change: what a poll asks about, and what the next one is planned from."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.connector import OpenRef
from hub.contract.status import NOT_LIVE, Stage, Submission
from hub.delivery import ledger
from hub.delivery.workspace import Workspace
from hub.store import tables as t

PAID_SOON = (Stage.APPROVED, Stage.SCHEDULED, Stage.PARTLY_PAID)
FINAL = (Stage.PAID, Stage.CANCELLED, Stage.REJECTED)
_REMEMBERED = dt.timedelta(days=60)  # so long are ended ones still listened to: a payment can be reversed


@dataclass(frozen=True)
class Awaited:
    """A submission whose status is awaited, or several alike, as far as the next poll is planned from it."""

    customer: str | None  # the portal's id of the customer
    state: Submission
    stage: Stage | None
    news_at: dt.datetime  # when it was last moved, tried, sent or heard of
    due_date: dt.date | None  # where a payment is what comes next
    asked_at: dt.datetime | None  # when its account was last asked about, however that ended

    @property
    def ended(self) -> bool:
        """Whether only a surprise can still come."""
        return self.state in NOT_LIVE or self.stage in FINAL


def open_refs(tx: Connection, connection: str, at: dt.datetime) -> list[tuple[str | None, OpenRef]]:
    """What a poll is to tell of, each with its account."""
    found = ledger.keys(tx, *_open(connection, at))
    return [(row.account, OpenRef(key, row.last_raw)) for row, key in found]


def awaited(ws: Workspace, connection: str) -> list[Awaited]:
    """The same for who plans the next poll; those that are planned alike are one, as young as the youngest of them."""
    s, a, due_date = t.submission.c, t.account.c, t.revision.c.due_date
    # When it is due to be paid concerns the plan only where a payment is what comes next.
    paid_by = sa.type_coerce(sa.case((s.stage.in_(PAID_SOON), due_date), else_=sa.null()), due_date.type)
    alike = (s.portal_customer, s.state, s.stage, a.polled_at)
    news = [sa.func.max(column) for column in (s.since, s.last_attempt_at, s.sent_at, s.heard_at)]
    query = (
        sa.select(*alike, paid_by.label("paid_by"), *news)
        .select_from(t.submission)
        .join(t.revision, s.revision_id == t.revision.c.id)
        .outerjoin(t.account, s.account == a.key)
        .where(*_open(connection, ws.now()))
        .group_by(*alike, sa.text("paid_by"))  # by its name: PostgreSQL takes no two parameters for the same
    )
    with ws.db.reading() as tx:
        return [
            Awaited(
                customer,
                Submission(state),
                Stage(stage) if stage else None,
                max(at for at in moments if at),
                due,
                asked,
            )
            for customer, state, stage, asked, due, *moments in tx.execute(query)
        ]


def asked_at(ws: Workspace, connection: str) -> dt.datetime | None:
    """When a connection was last asked for statuses, however that ended."""
    c = t.connection.c
    with ws.db.reading() as tx:
        found: dt.datetime | None = tx.execute(sa.select(c.polled_at).where(c.key == connection)).scalar_one()
        return found


def _open(connection: str, at: dt.datetime) -> list[sa.ColumnElement[bool]]:
    s = t.submission.c
    recent = sa.or_(s.since > at - _REMEMBERED, s.stage_since > at - _REMEMBERED)
    over = sa.or_(s.state.in_(sorted(NOT_LIVE)), sa.func.coalesce(s.stage, "").in_(FINAL))
    reached = sa.or_(s.first_attempt_at.is_not(None), s.sent_at.is_not(None))
    return [s.connection == connection, reached, sa.or_(sa.not_(over), recent)]
