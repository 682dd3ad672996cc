"""What to do about doubt: ask the portal, and believe only what is ours.

`hub.delivery.judge` says what the portal's documents mean; this module asks for them, keeps them as evidence and does
what follows. Every failure to ask leaves the doubt as it is.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Found, FoundState, InvoiceKey, Lookup, Receipt, Refs, Repeat
from hub.contract.errors import NeedsHuman, Reason, Rejected, Scope, Transient
from hub.contract.invoice import Kind
from hub.contract.status import Concerns, Intake, Submission
from hub.delivery import asking, attempts, collect, evidence, ledger
from hub.delivery.candidates import candidates
from hub.delivery.judge import Judgement, Known, Refusal, judge
from hub.delivery.lifecycle import Happening
from hub.delivery.registry import Portal
from hub.delivery.related import prior
from hub.delivery.verdict import backoff
from hub.delivery.workspace import Workspace
from hub.store import tables as t

_LOOK_AGAIN = dt.timedelta(minutes=1)
_SILENCE = dt.timedelta(hours=2)  # so long may a portal leave a doubt unanswered before a person is told
_LONGEST_LOOK = dt.timedelta(hours=1)
_log = logging.getLogger(__name__)


def due(ws: Workspace) -> list[int]:
    """Submissions in doubt whose time to look has come, on connections that are not paused."""
    s = t.submission.c
    paused = sa.exists().where(t.connection.c.key == s.connection, t.connection.c.paused_at.is_not(None))
    query = (
        sa.select(s.id)
        .where(s.state == Submission.IN_DOUBT, sa.or_(s.due_at.is_(None), s.due_at <= ws.now()), sa.not_(paused))
        .order_by(s.due_at)
    )
    with ws.db.reading() as tx:
        return list(tx.execute(query).scalars())


def recover(ws: Workspace, *, alone: bool) -> int:
    """Put into doubt what is in sending though nobody sends it; how many.

    Each row whose lease ran out, whoever held it. `alone`: no other process can be sending (one scheduler per SQLite
    file), so that a row of another worker's is orphaned at once.
    """
    at = ws.now()
    s = t.submission.c
    orphaned = sa.or_(s.lease_until.is_(None), s.lease_until < at)
    if alone:
        orphaned = sa.or_(orphaned, s.lease_owner.is_distinct_from(ws.owner))
    lost = sa.and_(s.state == Submission.SENDING, orphaned)
    with ws.db.reading() as tx:
        ids = tx.execute(sa.select(s.id).where(lost).order_by(s.id)).scalars().all()
    return sum(_recover_one(ws, submission_id, lost) for submission_id in ids)


def _recover_one(ws: Workspace, submission_id: int, lost: sa.ColumnElement[bool]) -> bool:
    at = ws.now()
    with ws.db.writing("reconcile.recover") as tx:
        ledger.lock(tx, submission_id)
        row = tx.execute(sa.select(t.submission).where(t.submission.c.id == submission_id, lost)).one_or_none()
        if row is None:
            return False  # its worker came to an end after all
        ledger.move(
            tx,
            row.id,
            Happening.DOUBTED,
            at=at,
            why=f"the worker {row.lease_owner} ended in the middle of it",
            due_at=(row.last_attempt_at or at) + ws.settles_within(row.connection),
            looks=0,
            fence_up=True,
        )
    return True


def reconcile(ws: Workspace, submission_id: int) -> Submission:
    """Ask the portal about one submission in doubt and do what follows; the state it is in now."""
    with ws.db.reading() as tx:
        row = read(tx, submission_id)
        if row.state != Submission.IN_DOUBT:
            return Submission(row.state)
        key = ledger.key_of(tx, submission_id)
        known = _known(tx, row)
    try:
        portal = ws.portal(row.connection)
        capabilities = portal.for_reading().capabilities
        known = replace(known, could_ask=capabilities.lookup is not Lookup.NONE)
        asks = known.could_ask and (known.may_have_arrived > 0 or known.said_duplicate or known.refusal is not None)
        found = ask(portal, key) if asks else None
    except Exception as error:  # noqa: BLE001 - a look that failed proves nothing; it is made again later
        return _look_later(ws, row, error)
    with ws.db.reading() as tx:
        judgement = judge(candidates(tx, row, key, found or ()), known)
    return _apply(ws, row, judgement, found, settles=capabilities.settles_within)


def ask(portal: Portal, key: InvoiceKey) -> list[Found]:
    """What the portal has under this key, asked in one of its places. Raises what `find` raises."""
    with portal.slot():
        return portal.for_reading().find(key)


def judge_before_first(ws: Workspace, submission_id: int, fence: int, key: InvoiceKey, found: list[Found]) -> bool:
    """Before the first attempt: True if nothing there stands in the way; else it is adopted, or a person is asked."""
    with ws.db.reading() as tx:
        row = read(tx, submission_id)
        known = _known(tx, row)
        judgement = judge(candidates(tx, row, key, found), known)
    if judgement.happening in {Happening.ABSENT, Happening.REFUSED}:
        return True  # an earlier refusal of the same number is no obstacle: nothing of ours was sent yet
    _apply(ws, row, judgement, found, fence=fence)
    return False


def read(tx: Connection, submission_id: int) -> Row[Any]:
    """A submission with its document's kind and its revision's place."""
    query = (
        sa.select(t.submission, t.document.c.kind, t.revision.c.seq, t.revision.c.replaces_id)
        .join(t.document, t.submission.c.document_id == t.document.c.id)
        .join(t.revision, t.submission.c.revision_id == t.revision.c.id)
        .where(t.submission.c.id == submission_id)
    )
    return tx.execute(query).one()


def _step_in_doubt(tx: Connection, submission_id: int) -> tuple[Row[Any], list[Row[Any]]]:
    """The first step that has not worked, else the last; and all of them."""
    steps = attempts.steps_of(tx, submission_id)
    return next((step for step in steps if step.done_at is None), steps[-1]), steps


def _known(tx: Connection, row: Row[Any]) -> Known:
    step, steps = _step_in_doubt(tx, row.id)
    before = prior(tx, row.replaces_id)
    waiting = collect.waiting(tx, row.id)
    return Known(
        kind=Kind(row.kind),
        repeat=Repeat(step.repeat),
        leaves=FoundState(step.leaves),
        drafted=any(other.position < step.position for other in steps)
        or (before is not None and before.state is FoundState.DRAFT),
        may_have_arrived=attempts.may_have_arrived(tx, step.id),
        resends=row.resends,
        could_ask=True,
        said_duplicate=row.duplicate_at is not None,
        looked_since_duplicate=row.duplicate_at is not None and row.looks > 0,
        said_there=_said_there(tx, step, waiting),
        refusal=_refusal(tx, row, step, waiting),
        last_words=attempts.last_words(tx, row.id),
    )


def _said_there(tx: Connection, step: Row[Any], waiting: Sequence[Row[Any]]) -> str:
    """In what words the portal said by itself that it has it: an event that waits, or an error that said so."""
    for event in waiting:
        if event.concerns == Concerns.STAGE or event.word == Intake.ACCEPTED:
            return f"{event.raw!r}"
    attempt = attempts.taken_unreceipted(tx, step.id) if step.done_at is None else None
    return "" if attempt is None else f"that it has what attempt {attempt} sent"


def _refusal(tx: Connection, row: Row[Any], step: Row[Any], waiting: Sequence[Row[Any]]) -> Refusal | None:
    """What the portal said against it: an event that waits, or the attempt or event that put it into doubt."""
    for event in waiting:
        if event.concerns == Concerns.INTAKE and event.word == Intake.REFUSED:
            return Refusal(_reason(event.reasons, event.raw), attempts.may_have_arrived(tx, step.id) > 1)
    x, a, e = t.transition.c, t.attempt.c, t.event.c
    doubted = sa.select(x.evidence).where(x.submission_id == row.id, x.after == Submission.IN_DOUBT)
    kind, _, number = (tx.execute(doubted.order_by(x.id.desc())).scalars().first() or "").partition(":")
    if kind == "attempt":
        attempt = tx.execute(sa.select(t.attempt).where(a.id == int(number))).one()
        if attempt.outcome == Rejected.__name__:
            others = attempts.may_have_arrived(tx, step.id, besides=attempt.id)
            return Refusal(_reason(attempt.reasons, attempt.words), others > 0)
    if kind == "event":
        event = tx.execute(sa.select(t.event).where(e.id == int(number))).one()
        if event.word == Intake.REFUSED:
            return Refusal(_reason(event.reasons, event.raw), may_be_another=True)
    return None


def _reason(reasons: str | None, words: str) -> Reason:
    return next(iter(ledger.reasons_from_json(reasons)), Reason(words))


def _look_later(ws: Workspace, row: Row[Any], error: Exception) -> Submission:
    """The portal could not be asked: the doubt stays, and the look is made again."""
    at = ws.now()
    scrub = ws.archive.scrub
    wait = min(_LOOK_AGAIN * 2 ** min(row.looks, 10), _LONGEST_LOOK)
    if isinstance(error, Transient) and error.retry_after is not None:
        wait = max(wait, error.retry_after)
    with ws.db.writing("reconcile.look-later") as tx:
        now = ledger.lock(tx, row.id)
        if now.state != Submission.IN_DOUBT:
            return Submission(now.state)
        looks = now.looks + (0 if now.duplicate_at else 1)
        tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(due_at=at + wait, looks=looks))
        why = f"the portal could not be asked: {scrub.text(str(error) or type(error).__name__)}"
        ledger.note(tx, "lookup", at=at, actor=ledger.HUB, why=why, submission_id=row.id)
        if at - now.since >= _SILENCE:
            asking.ask_why_it_is_silent(tx, now.connection, why, at=at)
        if isinstance(error, NeedsHuman) and error.scope is Scope.INVOICE:
            asking.open_for_human(
                tx, error, at=at, scrub=scrub, connection=now.connection, account=now.account, submission=now
            )
        asking.stop_for(tx, error, at=at, scrub=scrub, connection=now.connection, account=now.account)
    return Submission.IN_DOUBT


def _apply(
    ws: Workspace,
    row: Row[Any],
    judgement: Judgement,
    found: Sequence[Found] | None,
    *,
    settles: dt.timedelta = dt.timedelta(0),
    fence: int | None = None,
) -> Submission:
    """Do what follows, unless the submission has moved on since it was read; `found` is None if nothing was asked."""
    at = ws.now()
    raw = b"\n".join(one.raw for one in found or ())
    sha256 = ws.archive.put(raw) if raw else None
    proof = None if found is None else f"lookup:{sha256 or 'nothing found'}"
    with ws.db.writing("reconcile.apply") as tx:
        now = ledger.lock(tx, row.id)
        if (now.since, now.fence) != (row.since, row.fence if fence is None else fence):
            _log.info("submission %s moved on meanwhile", row.id)
            return Submission(now.state)
        if found is not None:
            tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(looked_at=at))
            asking.it_answers(tx, row.connection, at=at)
        if judgement.happening is None:
            tx.execute(
                t.submission.update()
                .where(t.submission.c.id == row.id)
                .values(due_at=at + settles, looks=t.submission.c.looks + 1)
            )
            why = judgement.why
            ledger.note(tx, "lookup", at=at, actor=ledger.HUB, why=why, submission_id=row.id, evidence=proof)
        else:
            _move(tx, ws, row, judgement.happening, judgement, proof)
        state = collect.replay(tx, ws, row.id)
        if sha256 is not None:
            evidence.chain(tx, "lookup", sha256, at=at, submission_id=row.id)
    return state


def _move(
    tx: Connection, ws: Workspace, row: Row[Any], happening: Happening, judgement: Judgement, proof: str | None
) -> None:
    at = ws.now()
    scrub = ws.archive.scrub
    why = scrub.text(judgement.why)
    reasons = scrub.reasons([judgement.reason]) if judgement.reason else ()
    reason = Reason(why) if happening is Happening.STUCK else next(iter(reasons), None)
    refs = scrub.refs(judgement.found.refs) if judgement.found is not None else Refs()
    values: dict[str, Any] = {"looks": 0}
    if happening in {Happening.FOUND, Happening.HALFWAY, Happening.REFUSED} and refs.portal_id is not None:
        values["portal_id"] = refs.portal_id
    if happening is Happening.FOUND:
        values["sent_at"] = row.sent_at or at
    if judgement.resend:
        values |= {"resends": row.resends + 1, "due_at": at + backoff(row.tries)}
    ledger.move(tx, row.id, happening, at=at, why=why, evidence=proof, reason=reason, **values)
    if happening is Happening.HALFWAY:
        step, _ = _step_in_doubt(tx, row.id)
        attempts.keep_receipt(tx, step.id, Receipt(refs, Intake.PENDING, b"", why), at)
    if happening is Happening.STUCK:
        asking.ask_to_look(tx, row.id, at=at, why=why)
