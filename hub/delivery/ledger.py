"""The ledger's writes. Each function works inside the caller's transaction, so that a fact and its row are one.

Nobody else writes the state of a submission: `move` asks the lifecycle, changes the row and appends the transition.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import InvoiceKey, Stamp
from hub.contract.errors import Reason
from hub.contract.invoice import Kind, Money
from hub.contract.status import Submission
from hub.delivery import lifecycle
from hub.delivery.lifecycle import Happening
from hub.store import tables as t
from hub.store.database import Database
from hub.store.types import Utc

_REASONS = TypeAdapter(tuple[Reason, ...])
_STAMP = TypeAdapter(Stamp)
HUB = "hub"

# Statements of every delivery, made once: to build one costs more than to run it.
_NOTE = t.transition.insert()
_THIS = t.submission.c.id == sa.bindparam("this")
_LOCK = sa.select(t.submission).where(_THIS).with_for_update(key_share=True)
CHANGE = t.submission.update().where(_THIS)  # of the submission `this`; the columns are the other parameters


class FencedOutError(Exception):
    """Another worker owns this submission now; the result is kept as evidence and moves nothing."""


def reasons_to_json(reasons: tuple[Reason, ...]) -> str:
    """For a column."""
    return _REASONS.dump_json(reasons).decode()


def reasons_from_json(text: str | None) -> tuple[Reason, ...]:
    """From a column."""
    return _REASONS.validate_json(text) if text else ()


def stamp_to_json(stamp: Stamp) -> str:
    """For a column."""
    return _STAMP.dump_json(stamp).decode()


def stamp_from_json(text: str) -> Stamp:
    """From a column."""
    return _STAMP.validate_json(text)


def reason_columns(reason: Reason | None) -> dict[str, str | None]:
    """The three reason columns of a submission."""
    if reason is None:
        return {"reason_code": None, "reason_text": None, "reason_portal_code": None}
    return {"reason_code": reason.code, "reason_text": reason.text, "reason_portal_code": reason.portal_code}


def note(  # noqa: PLR0913 - a transition is these facts
    tx: Connection,
    subject: str,
    *,
    at: dt.datetime,
    actor: str,
    why: str,
    before: str | None = None,
    after: str | None = None,
    submission_id: int | None = None,
    evidence: str | None = None,
) -> None:
    """Append one transition: who or what, when, why, on what evidence."""
    tx.execute(
        _NOTE,
        {
            "submission_id": submission_id,
            "subject": subject,
            "before": before,
            "after": after,
            "at": at,
            "actor": actor,
            "why": why,
            "evidence": evidence,
        },
    )


def move(  # noqa: PLR0913 - a transition is these facts
    tx: Connection,
    submission_id: int,
    happening: Happening,
    *,
    at: dt.datetime,
    why: str,
    actor: str = HUB,
    evidence: str | None = None,
    fence: int | None = None,
    fence_up: bool = False,
    reason: Reason | None = None,
    **values: Any,
) -> Submission:
    """Move a submission and append the transition; `values` are further columns of the same row.

    `fence_up` shuts out whoever still holds the present fence.

    Raises FencedOutError if `fence` is given and is no longer the submission's, IllegalMoveError if the lifecycle
    has no such move, and then changes nothing.
    """
    row = lock(tx, submission_id)
    if fence is not None and row.fence != fence:
        raise FencedOutError(f"submission {submission_id} is at fence {row.fence}, not {fence}")
    before = Submission(row.state)
    after = lifecycle.move(before, happening)
    lease = {} if after is Submission.SENDING else {"lease_owner": None, "lease_until": None}
    changes = {"state": after, "since": at, "due_at": None, **reason_columns(reason), **lease, **values}
    if fence_up:
        changes["fence"] = row.fence + 1
    tx.execute(CHANGE, {"this": submission_id, **changes})
    note(
        tx,
        "submission",
        before=before,
        after=after,
        at=at,
        actor=actor,
        why=why,
        submission_id=submission_id,
        evidence=evidence,
    )
    return after


def lock(tx: Connection, submission_id: int) -> Row[Any]:
    """The submission's row, held until the transaction ends (SQLite has one writer anyway).

    Lock first, append to the evidence chain last: so no two transactions ever wait for each other.
    """
    return tx.execute(_LOCK, {"this": submission_id}).one()


_ORIGINAL = t.submission.alias()
_ORIGINAL_IS_DELIVERED = sa.or_(  # a credit goes only while its invoice is, or a person waived that
    t.submission.c.depends_on_id.is_(None),
    sa.exists().where(
        _ORIGINAL.c.document_id == t.submission.c.depends_on_id,
        _ORIGINAL.c.state.in_((Submission.SENT, Submission.ACCEPTED)),
    ),
    t.submission.c.waived.is_not(None),
)
_PLACES = ((t.connection, t.submission.c.connection), (t.account, t.submission.c.account))
_DISARMED = sa.exists().where(t.instance.c.armed.is_(False))
_MAY_GO = sa.and_(
    t.submission.c.state == Submission.READY,
    sa.not_(_DISARMED),
    t.submission.c.requirements_version.is_not(None),  # not since a waiver asked for another check
    _ORIGINAL_IS_DELIVERED,
    *(sa.not_(sa.exists().where(table.c.key == key, table.c.paused_at.is_not(None))) for table, key in _PLACES),
)


def may_go(at: dt.datetime | sa.BindParameter[dt.datetime]) -> sa.ColumnElement[bool]:
    """What must hold of a submission that is claimed: armed, ready, due, checked, its original delivered, no stop."""
    held = (sa.exists().where(table.c.key == key, table.c.retry_at > at) for table, key in _PLACES)
    due = sa.or_(t.submission.c.due_at.is_(None), t.submission.c.due_at <= at)
    return sa.and_(_MAY_GO, due, *(sa.not_(holds) for holds in held))


_CLAIM = (
    t.submission.update()
    .where(_THIS, may_go(sa.bindparam("now", type_=Utc)))
    .values(fence=t.submission.c.fence + 1)
    .returning(
        t.submission.c.fence,
        *(sa.select(table.c.failures).where(table.c.key == key).scalar_subquery() for table, key in _PLACES),
    )
)


@dataclass(frozen=True)
class Claim:
    """A submission that is ours to send for a while."""

    fence: int
    failures: int  # in a row, of its connection or its account, whichever has more


def claim(tx: Connection, submission_id: int, *, owner: str, until: dt.datetime, at: dt.datetime) -> Claim | None:
    """Take a ready submission under a lease; None if it is not to be had now.

    One UPDATE decides, so that of two workers one gets it.
    """
    state = lifecycle.move(Submission.READY, Happening.CLAIMED)
    lease = {"lease_owner": owner, "lease_until": until}
    taken = tx.execute(
        _CLAIM, {"this": submission_id, "now": at, "state": state, "since": at, "due_at": None, **lease}
    ).one_or_none()
    if taken is None:
        return None
    note(
        tx,
        "submission",
        before=Submission.READY,
        after=Submission.SENDING,
        at=at,
        actor=HUB,
        why=f"claimed by {owner}",
        submission_id=submission_id,
    )
    fence, *counts = taken
    return Claim(fence, max(count or 0 for count in counts))


def state_of(tx: Connection, submission_id: int) -> Submission:
    """The state of a submission."""
    return Submission(tx.execute(_STATE, {"this": submission_id}).scalar_one())


_STATE = sa.select(t.submission.c.state).where(_THIS)


def still_mine(tx: Connection, submission_id: int, fence: int, at: dt.datetime) -> bool:
    """Whether lease and fence still hold, and the workspace is armed; asked right before the wire."""
    return tx.execute(_STILL_MINE, {"this": submission_id, "mine": fence, "now": at}).first() is not None


_STILL_MINE = sa.select(t.submission.c.id).where(
    _THIS,
    t.submission.c.state == Submission.SENDING,
    t.submission.c.fence == sa.bindparam("mine"),
    t.submission.c.lease_until > sa.bindparam("now"),
    sa.not_(_DISARMED),
)


def key_of(tx: Connection, submission_id: int) -> InvoiceKey:
    """What a portal is asked for this submission by."""
    return _as_key(tx.execute(_KEY, {"this": submission_id}).one())


def keys(tx: Connection, *where: sa.ColumnElement[bool]) -> Iterator[tuple[Row[Any], InvoiceKey]]:
    """The submissions that match, in the order in which they were made: each row, and what a portal is asked by."""
    for row in tx.execute(_KEYS.where(*where)):
        yield row, _as_key(row)


_s, _d, _r = t.submission.c, t.document.c, t.revision.c
_KEYS = (
    sa.select(_s.id, _s.account, _s.last_raw, _d.entity, _d.customer, _d.kind, _d.number)
    .add_columns(_s.portal_customer, _s.payload_id, _s.portal_id, _s.first_attempt_at, _s.last_attempt_at)
    .add_columns(_r.shown_number, _r.issue_date, _r.total, _r.currency)
    .join(t.document, _s.document_id == _d.id)
    .join(t.revision, _s.revision_id == _r.id)
    .order_by(_s.id)
)
_KEY = _KEYS.where(_THIS)


def _as_key(row: Row[Any]) -> InvoiceKey:
    return InvoiceKey(
        entity=row.entity,
        customer=row.customer,
        kind=Kind(row.kind),
        number=row.number,
        shown_number=row.shown_number,
        issue_date=row.issue_date,
        total=Money(row.total, row.currency),
        portal_customer=row.portal_customer,
        payload_id=row.payload_id,
        portal_id=row.portal_id,
        first_attempt=row.first_attempt_at,
        last_attempt=row.last_attempt_at,
    )


def pause(tx: Connection, table: sa.Table, key: str, *, at: dt.datetime, actor: str, why: str) -> None:
    """Stop a connection or an account until somebody resumes it; a pause that stands keeps its first reason."""
    subject = f"{table.name}:{key}"
    done = tx.execute(
        table.update().where(table.c.key == key, table.c.paused_at.is_(None)).values(paused_at=at, paused_why=why)
    )
    if done.rowcount:
        note(tx, subject, before="running", after="paused", at=at, actor=actor, why=why)


def resume(tx: Connection, table: sa.Table, key: str, *, at: dt.datetime, actor: str, why: str) -> bool:
    """Let a paused connection or account go on; False if it was not paused."""
    done = tx.execute(
        table.update().where(table.c.key == key, table.c.paused_at.is_not(None)).values(paused_at=None, paused_why=None)
    )
    if done.rowcount:
        note(tx, f"{table.name}:{key}", before="paused", after="running", at=at, actor=actor, why=why)
    return bool(done.rowcount)


def is_paused(db: Database, table: sa.Table, key: str) -> bool:
    """Whether a connection or an account is paused."""
    with db.reading() as tx:
        return (
            tx.execute(sa.select(table.c.key).where(table.c.key == key, table.c.paused_at.is_not(None))).first()
            is not None
        )
