"""Steps and attempts: what exactly goes out, and how each try at it ended.

Like the ledger's, these writes work inside the caller's transaction, under the lock of their submission. Doubt is
settled per step, so what may have arrived is counted per step.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Enclosure, FoundState, Receipt, Refs, Repeat, Step
from hub.contract.errors import Reason
from hub.contract.status import Delivered, Intake, Submission
from hub.delivery.ledger import CHANGE, FencedOutError, lock, reasons_to_json
from hub.store import tables as t

_ENCLOSURES = TypeAdapter(tuple[Enclosure, ...])
_REFS = TypeAdapter(Refs)
_OBJECT = TypeAdapter(dict[str, Any])

# Statements of every delivery, made once; what is not named here are columns, given as parameters.
_STEPS = sa.select(t.step).where(t.step.c.submission_id == sa.bindparam("submission")).order_by(t.step.c.position)
_WORKED = t.step.update().where(t.step.c.id == sa.bindparam("this"))
_RAISE_MARK = (
    t.connection.update()
    .where(t.connection.c.key == sa.bindparam("this"))
    .values(mark=t.connection.c.mark + 1)
    .returning(t.connection.c.mark)
)
_NEXT_NUMBER = sa.select(sa.func.coalesce(sa.func.max(t.attempt.c.number), 0) + 1).where(
    t.attempt.c.submission_id == sa.bindparam("submission")
)
_BEGIN = t.attempt.insert().values(number=_NEXT_NUMBER.scalar_subquery()).returning(t.attempt.c.id)
_END = t.attempt.update().where(t.attempt.c.id == sa.bindparam("this"))


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


def steps_of(tx: Connection, submission_id: int) -> list[Row[Any]]:
    """The steps of a submission, in order."""
    return list(tx.execute(_STEPS, {"submission": submission_id}).all())


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
        leaves=FoundState(row.leaves),
    )


def keep_receipt(tx: Connection, step_id: int, receipt: Receipt, at: dt.datetime) -> None:
    """A step has worked; `receipt` is scrubbed, and its reply lies in the archive."""
    told = {"refs": _REFS.dump_python(receipt.refs), "intake": receipt.intake, "words": receipt.words}
    tx.execute(_WORKED, {"this": step_id, "receipt": _OBJECT.dump_json(told).decode(), "done_at": at})


def receipts_of(steps: Sequence[Row[Any]]) -> dict[str, Receipt]:
    """The receipts of the steps that worked, by the step's name; their replies lie in the archive, not here."""
    receipts = {}
    for step in steps:
        if step.receipt is not None:
            told = _OBJECT.validate_json(step.receipt)
            receipts[step.name] = Receipt(
                _REFS.validate_python(told["refs"]), Intake(told["intake"]), b"", told["words"]
            )
    return receipts


def known_by(receipt: Receipt) -> dict[str, Any]:
    """What the portal's reply says it knows the document by, for the submission's columns."""
    return {"portal_id": receipt.refs.portal_id} if receipt.refs.portal_id else {}


def begin_again(tx: Connection, submission_id: int) -> None:
    """Nothing of a submission is at the portal: where every step had worked or none, all go, and no id is known."""
    worked = [step.done_at is not None for step in steps_of(tx, submission_id)]
    unknown = {"portal_id": None} if all(worked) or not any(worked) else {}
    tx.execute(
        t.submission.update().where(t.submission.c.id == submission_id).values(sent_at=None, intake_at=None, **unknown)
    )
    if all(worked):
        tx.execute(t.step.update().where(t.step.c.submission_id == submission_id).values(receipt=None, done_at=None))


@dataclass(frozen=True)
class Begun:
    """An attempt whose row is written, and the high-water mark of its connection that goes with it."""

    attempt_id: int
    mark: int


def begin(
    tx: Connection, submission: Row[Any], step: Row[Any], *, fence: int, at: dt.datetime, lease_until: dt.datetime
) -> Begun:
    """Write down that a step is about to be sent, before anything is, and renew the lease.

    From this commit on, an attempt without an end counts as one that may have arrived.
    """
    row = lock(tx, submission.id)
    if row.fence != fence or row.state != Submission.SENDING:
        raise FencedOutError(f"submission {submission.id} is {row.state} at fence {row.fence}, not {fence}")
    tx.execute(
        CHANGE,
        {
            "this": submission.id,
            "tries": row.tries + 1,
            "last_attempt_at": at,
            "first_attempt_at": row.first_attempt_at or at,
            "lease_until": lease_until,
        },
    )
    mark: int = tx.execute(_RAISE_MARK, {"this": submission.connection}).scalar_one()
    attempt_id: int = tx.execute(
        _BEGIN,
        {
            "submission": submission.id,
            "submission_id": submission.id,
            "step_id": step.id,
            "fence": fence,
            "body_sha256": step.body_sha256,
            "rules_version": submission.rules_version,
            "mapping_version": submission.mapping_version,
            "connector_version": submission.connector_version,
            "started_at": at,
        },
    ).scalar_one()
    return Begun(attempt_id, mark)


@dataclass(frozen=True)
class End:
    """How an attempt ended."""

    at: dt.datetime
    delivered: Delivered
    outcome: str  # sent, or the error's kind
    words: str  # the portal's or the error's, scrubbed
    reasons: tuple[Reason, ...] = ()  # scrubbed
    reply_sha256: str | None = None


def end(tx: Connection, attempt_id: int, how: End, *, late: bool = False) -> None:
    """Write down how an attempt ended; `late`: after another worker had taken the submission over."""
    tx.execute(
        _END,
        {
            "this": attempt_id,
            "finished_at": how.at,
            "delivered": how.delivered,
            "outcome": how.outcome,
            "words": how.words,
            "reasons": reasons_to_json(how.reasons),
            "reply_sha256": how.reply_sha256,
            "late": late,
        },
    )


_MAY_HAVE_ARRIVED = t.attempt.c.delivered.is_distinct_from(Delivered.NO)  # one that never ended counts


def may_have_arrived(tx: Connection, step_id: int, *, besides: int | None = None) -> int:
    """How many attempts at a step are not certainly undelivered, without the attempt `besides`."""
    query = sa.select(sa.func.count()).where(t.attempt.c.step_id == step_id, _MAY_HAVE_ARRIVED)
    if besides is not None:
        query = query.where(t.attempt.c.id != besides)
    return tx.execute(query).scalar_one()


def most_that_may_have_arrived(tx: Connection, submission_id: int) -> int:
    """The same for the step of a submission that has the most of them: more than one may mean two documents."""
    per_step = (
        sa.select(sa.func.count().label("number"))
        .where(t.attempt.c.submission_id == submission_id, _MAY_HAVE_ARRIVED)
        .group_by(t.attempt.c.step_id)
        .subquery()
    )
    return int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(per_step.c.number), 0))).scalar_one())


def taken_unreceipted(tx: Connection, step_id: int) -> int | None:
    """An attempt at a step of which the portal said that it has it, though the step has no receipt.

    What was found absent since is no longer there, whatever was said before.
    """
    a = t.attempt.c
    absent_at = _absent_at(sa.select(t.step.c.submission_id).where(t.step.c.id == step_id).scalar_subquery())
    query = sa.select(a.id).where(
        a.step_id == step_id,
        a.delivered == Delivered.YES,
        a.outcome.not_in(_REFUSALS),
        sa.or_(absent_at.is_(None), a.started_at >= absent_at),
    )
    return tx.execute(query.order_by(a.id.desc())).scalars().first()


def _absent_at(submission_id: int | sa.ScalarSelect[int]) -> sa.ScalarSelect[dt.datetime | None]:
    """When a lookup or a person last found that it is not there."""
    x = t.transition.c
    found = sa.or_(x.evidence.startswith("lookup:"), x.evidence.startswith("task:"))
    absent = sa.select(sa.func.max(x.at)).where(x.submission_id == submission_id, x.after == Submission.READY, found)
    return absent.scalar_subquery()


def last_words(tx: Connection, submission_id: int) -> str:
    """What the last attempt ended in, in the portal's words or the wire's; empty while none has ended."""
    a = t.attempt.c
    query = sa.select(a.words).where(a.submission_id == submission_id, a.words.is_not(None))
    return tx.execute(query.order_by(a.number.desc())).scalars().first() or ""


_REFUSALS = ("Rejected", "Duplicate")


def may_be_there(tx: Connection, submission: Row[Any]) -> bool:
    """Whether a submission is or may be at the portal, as far as anybody has said: then it is not ours to take back."""
    return submission.sent_at is not None or is_in_the_open(tx, submission.id)


def is_in_the_open(tx: Connection, submission_id: int) -> bool:
    """Whether it may be at the portal although nobody has said so; then no other content may take its place.

    It was tried, is not known to be undelivered, and neither a lookup nor a person has found it absent since.
    """
    a = t.attempt.c
    absent_at = _absent_at(submission_id)
    receipted = sa.select(t.step.c.id).where(t.step.c.done_at.is_not(None))
    query = sa.select(a.id).where(
        a.submission_id == submission_id,
        _MAY_HAVE_ARRIVED,
        a.step_id.not_in(receipted),
        sa.or_(absent_at.is_(None), a.started_at > absent_at),
    )
    return tx.execute(query).first() is not None
