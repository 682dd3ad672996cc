"""The ledger's writes. Each function works inside the caller's transaction, so that a fact and its row are one.

Nobody else writes the state of a submission: `move` asks the lifecycle, changes the row and appends the transition.
"""

from __future__ import annotations

import datetime as dt
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

_REASONS = TypeAdapter(tuple[Reason, ...])
_STAMP = TypeAdapter(Stamp)
HUB = "hub"


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
        t.transition.insert().values(
            submission_id=submission_id,
            subject=subject,
            before=before,
            after=after,
            at=at,
            actor=actor,
            why=why,
            evidence=evidence,
        )
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
    tx.execute(t.submission.update().where(t.submission.c.id == submission_id).values(**changes))
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
    query = sa.select(t.submission).where(t.submission.c.id == submission_id).with_for_update(key_share=True)
    return tx.execute(query).one()


_ORIGINAL = t.submission.alias()
_ORIGINAL_IS_DELIVERED = sa.or_(  # a credit goes only while its invoice is, or a person waived that
    t.submission.c.depends_on_id.is_(None),
    sa.exists().where(
        _ORIGINAL.c.document_id == t.submission.c.depends_on_id,
        _ORIGINAL.c.state.in_((Submission.SENT, Submission.ACCEPTED)),
    ),
    t.submission.c.waived.is_not(None),
)
_DISARMED = sa.exists().where(t.instance.c.armed.is_(False))
_MAY_GO = sa.and_(
    t.submission.c.state == Submission.READY,
    sa.not_(_DISARMED),
    t.submission.c.requirements_version.is_not(None),  # not since a waiver asked for another check
    _ORIGINAL_IS_DELIVERED,
    *(
        sa.not_(sa.exists().where(table.c.key == key, table.c.paused_at.is_not(None)))
        for table, key in ((t.connection, t.submission.c.connection), (t.account, t.submission.c.account))
    ),
)


def may_go(at: dt.datetime) -> sa.ColumnElement[bool]:
    """What must hold of a submission that is claimed: ready, due, checked, its original delivered, and no pause."""
    return sa.and_(_MAY_GO, sa.or_(t.submission.c.due_at.is_(None), t.submission.c.due_at <= at))


def claim(tx: Connection, submission_id: int, *, owner: str, until: dt.datetime, at: dt.datetime) -> int | None:
    """Take a ready submission under a lease: its fence, or None if it is not to be had now.

    One UPDATE decides, so that of two workers one gets it.
    """
    s = t.submission.c
    fence: int | None = tx.execute(
        t.submission.update()
        .where(s.id == submission_id, may_go(at))
        .values(
            state=lifecycle.move(Submission.READY, Happening.CLAIMED),
            since=at,
            fence=s.fence + 1,
            lease_owner=owner,
            lease_until=until,
            due_at=None,
        )
        .returning(s.fence)
    ).scalar_one_or_none()
    if fence is not None:
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
    return fence


def still_mine(tx: Connection, submission_id: int, fence: int, at: dt.datetime) -> bool:
    """Whether lease and fence still hold, and the workspace is armed; asked right before the wire."""
    s = t.submission.c
    query = sa.select(s.id).where(
        s.id == submission_id,
        s.state == Submission.SENDING,
        s.fence == fence,
        s.lease_until > at,
        sa.not_(_DISARMED),
    )
    return tx.execute(query).first() is not None


def key_of(tx: Connection, submission_id: int) -> InvoiceKey:
    """What a portal is asked for this submission by."""
    s, d, r = t.submission.c, t.document.c, t.revision.c
    row = tx.execute(
        sa.select(
            t.submission, d.entity, d.customer, d.kind, d.number, r.shown_number, r.issue_date, r.total, r.currency
        )
        .join(t.document, s.document_id == d.id)
        .join(t.revision, s.revision_id == r.id)
        .where(s.id == submission_id)
    ).one()
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
