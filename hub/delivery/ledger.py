"""The ledger's writes. Each function works inside the caller's transaction, so that a fact and its row are one.

Nobody else writes the state of a submission: `move` asks the lifecycle, changes the row and appends the transition.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Enclosure, InvoiceKey, Receipt, Refs, Repeat, Stamp, Step
from hub.contract.connector import FoundState as There
from hub.contract.errors import Reason
from hub.contract.invoice import Kind, Money
from hub.contract.status import Delivered, Intake, Submission
from hub.delivery import lifecycle
from hub.delivery.lifecycle import Happening
from hub.store import tables as t
from hub.store.database import Database

_REASONS = TypeAdapter(tuple[Reason, ...])
_ENCLOSURES = TypeAdapter(tuple[Enclosure, ...])
_STAMP = TypeAdapter(Stamp)
_REFS = TypeAdapter(Refs)
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
    """The submission's row, held until the transaction ends (SQLite has one writer anyway)."""
    query = sa.select(t.submission).where(t.submission.c.id == submission_id).with_for_update()
    return tx.execute(query).one()


def claim(tx: Connection, submission_id: int, *, owner: str, until: dt.datetime, at: dt.datetime) -> int | None:
    """Take a ready submission under a lease: its fence, or None if it is not to be had now.

    One UPDATE decides, so that of two workers one gets it. It is not to be had while it is not due, or while its
    connection or account is paused.
    """
    s = t.submission.c
    paused = [
        sa.exists().where(table.c.key == key, table.c.paused_at.is_not(None))
        for table, key in ((t.connection, s.connection), (t.account, s.account))
    ]
    fence: int | None = tx.execute(
        t.submission.update()
        .where(
            s.id == submission_id,
            s.state == Submission.READY,
            s.requirements_version.is_not(None),  # not since a waiver asked for another check
            _original_is_delivered(),
            sa.or_(s.due_at.is_(None), s.due_at <= at),
            *(sa.not_(condition) for condition in paused),
        )
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


def _original_is_delivered() -> sa.ColumnElement[bool]:
    """A credit goes only while its invoice is sent or accepted; asked again at each claim."""
    original = t.submission.alias()
    return sa.or_(
        t.submission.c.depends_on_id.is_(None),
        sa.exists().where(
            original.c.document_id == t.submission.c.depends_on_id,
            original.c.state.in_((Submission.SENT, Submission.ACCEPTED)),
        ),
        t.submission.c.waived.is_not(None),
    )


def still_mine(tx: Connection, submission_id: int, fence: int, at: dt.datetime) -> bool:
    """Whether lease and fence still hold; asked right before the wire."""
    s = t.submission.c
    query = sa.select(s.id).where(
        s.id == submission_id, s.state == Submission.SENDING, s.fence == fence, s.lease_until > at
    )
    return tx.execute(query).first() is not None


def begin_attempt(tx: Connection, submission: Row[Any], step: Row[Any], *, fence: int, at: dt.datetime) -> int:
    """Write down that a step is about to be sent, before anything is; the attempt's id.

    From this commit on, an attempt without an end counts as one that may have arrived.
    """
    row = lock(tx, submission.id)
    if row.fence != fence or row.state != Submission.SENDING:
        raise FencedOutError(f"submission {submission.id} is {row.state} at fence {row.fence}, not {fence}")
    number = (
        tx.execute(
            sa.select(sa.func.count()).select_from(t.attempt).where(t.attempt.c.submission_id == submission.id)
        ).scalar_one()
        + 1
    )
    tx.execute(
        t.submission.update()
        .where(t.submission.c.id == submission.id)
        .values(
            tries=t.submission.c.tries + 1,
            last_attempt_at=at,
            first_attempt_at=sa.func.coalesce(t.submission.c.first_attempt_at, sa.bindparam("at", at, t.Utc())),
        )
    )
    tx.execute(
        t.connection.update().where(t.connection.c.key == submission.connection).values(mark=t.connection.c.mark + 1)
    )
    attempt_id: int = tx.execute(
        t.attempt.insert()
        .values(
            submission_id=submission.id,
            step_id=step.id,
            number=number,
            fence=fence,
            body_sha256=step.body_sha256,
            rules_version=submission.rules_version,
            mapping_version=submission.mapping_version,
            connector_version=submission.connector_version,
            started_at=at,
        )
        .returning(t.attempt.c.id)
    ).scalar_one()
    return attempt_id


@dataclass(frozen=True)
class End:
    """How an attempt ended."""

    at: dt.datetime
    delivered: Delivered
    outcome: str  # sent, or the error's kind
    words: str  # the portal's or the error's, scrubbed
    reasons: tuple[Reason, ...] = ()
    reply_sha256: str | None = None


def end_attempt(tx: Connection, attempt_id: int, end: End, *, late: bool = False) -> None:
    """Write down how an attempt ended; `late`: after another worker had taken the submission over."""
    tx.execute(
        t.attempt.update()
        .where(t.attempt.c.id == attempt_id)
        .values(
            finished_at=end.at,
            delivered=end.delivered,
            outcome=end.outcome,
            words=end.words,
            reasons=reasons_to_json(end.reasons),
            reply_sha256=end.reply_sha256,
            late=late,
        )
    )


def keep_receipt(tx: Connection, step_id: int, receipt: Receipt, at: dt.datetime) -> None:
    """A step has worked."""
    text = TypeAdapter(dict[str, Any]).dump_json(
        {"refs": _REFS.dump_python(receipt.refs, mode="json"), "intake": receipt.intake, "words": receipt.words}
    )
    tx.execute(t.step.update().where(t.step.c.id == step_id).values(receipt=text.decode(), done_at=at))


def receipt_of(step: Row[Any]) -> Receipt | None:
    """The receipt of a step that worked; its reply lies in the archive, not here."""
    if step.receipt is None:
        return None
    data = TypeAdapter(dict[str, Any]).validate_json(step.receipt)
    return Receipt(_REFS.validate_python(data["refs"]), Intake(data["intake"]), b"", data["words"])


def store_steps(tx: Connection, submission_id: int, steps: Sequence[tuple[str, Step]]) -> None:
    """Replace the steps of a submission that was never attempted; each with the hash of its stored bytes."""
    tx.execute(t.step.delete().where(t.step.c.submission_id == submission_id))
    for position, (sha256, step) in enumerate(steps):
        tx.execute(
            t.step.insert().values(
                submission_id=submission_id,
                position=position,
                name=step.name,
                key=step.key,
                repeat=step.repeat,
                leaves=step.leaves,
                media_type=step.media_type,
                boundary=step.boundary,
                body_sha256=sha256,
                enclosures=_ENCLOSURES.dump_json(step.enclosures).decode(),
            )
        )


def step_from_row(row: Row[Any], content: bytes) -> Step:
    """The step exactly as it was prepared."""
    return Step(
        name=row.name,
        bytes=content,
        key=row.key,
        repeat=Repeat(row.repeat),
        media_type=row.media_type,
        enclosures=_ENCLOSURES.validate_json(row.enclosures),
        boundary=row.boundary,
        leaves=There(row.leaves),
    )


def steps(tx: Connection, submission_id: int) -> list[Row[Any]]:
    """The steps of a submission, in order."""
    return list(
        tx.execute(sa.select(t.step).where(t.step.c.submission_id == submission_id).order_by(t.step.c.position)).all()
    )


def attempts_that_may_have_arrived(tx: Connection, submission_id: int) -> int:
    """How many attempts are not certainly undelivered; one that never ended counts."""
    return tx.execute(
        sa.select(sa.func.count())
        .select_from(t.attempt)
        .where(
            t.attempt.c.submission_id == submission_id,
            t.attempt.c.delivered.is_distinct_from(Delivered.NO),
        )
    ).scalar_one()


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
