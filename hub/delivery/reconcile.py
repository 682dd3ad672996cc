"""What to do about doubt: ask the portal, and believe only what is ours.

`hub.delivery.judge` says what the portal's documents mean; this module asks for them, keeps them as evidence and does
what follows. Every failure to ask leaves the doubt as it is.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Found, FoundState, InvoiceKey, Lookup, Repeat
from hub.contract.errors import Reason, Transient
from hub.contract.invoice import Kind, Money
from hub.contract.status import Delivered, Submission
from hub.delivery import collect, evidence, ledger, tasks
from hub.delivery.judge import Candidate, Judgement, Known, Whose, judge, whose
from hub.delivery.ledger import FencedOutError
from hub.delivery.lifecycle import Happening, IllegalMoveError
from hub.delivery.workspace import Workspace
from hub.store import tables as t

_LOOK_AGAIN = dt.timedelta(minutes=1)
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
    """Put into doubt what a dead worker left in sending; how many.

    `alone`: no other process can be sending (one scheduler per SQLite file), so every such row is orphaned; else only
    those whose lease ran out.
    """
    at = ws.now()
    s = t.submission.c
    orphaned = sa.true() if alone else sa.or_(s.lease_until.is_(None), s.lease_until < at)
    with ws.db.writing() as tx:
        rows = tx.execute(
            sa.select(s.id, s.connection, s.last_attempt_at, s.lease_owner).where(
                s.state == Submission.SENDING, s.lease_owner.is_distinct_from(ws.owner), orphaned
            )
        ).all()
        for row in rows:
            settles = settles_within(ws, row.connection)
            ledger.move(
                tx,
                row.id,
                Happening.DOUBTED,
                at=at,
                why=f"the worker {row.lease_owner} ended in the middle of it",
                due_at=(row.last_attempt_at or at) + settles,
                looks=0,
                fence_up=True,
            )
    return len(rows)


def settles_within(ws: Workspace, connection: str) -> dt.timedelta:
    """How long this portal's search may miss a new document; a long while if hub.yaml has the connection no more."""
    if connection not in ws.portals:
        return _LONGEST_LOOK
    return ws.portal(connection).for_reading().capabilities.settles_within


def reconcile(ws: Workspace, submission_id: int) -> Submission:
    """Ask the portal about one submission in doubt and do what follows; the state it is in now."""
    with ws.db.reading() as tx:
        row = _row(tx, submission_id)
        if row.state != Submission.IN_DOUBT:
            return Submission(row.state)
        key = ledger.key_of(tx, submission_id)
        known = _known(tx, row)
        late = _late_receipt(tx, submission_id)
    if late is not None:
        return _apply(ws, row, Judgement(Happening.FOUND, "its answer came after the lease had run out"), b"", late)
    connector = ws.portal(row.connection).for_reading()
    found: list[Found] = []
    if connector.capabilities.lookup is not Lookup.NONE and known.may_have_arrived:
        try:
            found = connector.find(key)
        except Exception as error:  # noqa: BLE001 - a look that failed proves nothing; it is made again later
            return _look_later(ws, row, error)
    with ws.db.reading() as tx:
        judgement = judge(_candidates(tx, row, key, found), known)
    raw = b"\n".join(one.raw for one in found)
    return _apply(ws, row, judgement, raw, None, settles=connector.capabilities.settles_within)


def judge_before_first(ws: Workspace, submission_id: int, fence: int, key: InvoiceKey, found: list[Found]) -> bool:
    """Before the first attempt: True if nothing there stands in the way; else it is adopted, or a person is asked."""
    with ws.db.reading() as tx:
        row = _row(tx, submission_id)
        known = _known(tx, row)
        candidates = _candidates(tx, row, key, found)
    judgement = judge(candidates, known)
    if judgement.happening in {Happening.ABSENT, Happening.REFUSED}:
        return True  # an earlier refusal of the same number is no obstacle: nothing of ours was sent yet
    _apply(ws, row, judgement, b"\n".join(one.raw for one in found), None, fence=fence)
    return False


def _row(tx: Connection, submission_id: int) -> Row[Any]:
    query = (
        sa.select(t.submission, t.document.c.kind, t.document.c.number, t.revision.c.total, t.revision.c.seq)
        .join(t.document, t.submission.c.document_id == t.document.c.id)
        .join(t.revision, t.submission.c.revision_id == t.revision.c.id)
        .where(t.submission.c.id == submission_id)
    )
    return tx.execute(query).one()


def _known(tx: Connection, row: Row[Any]) -> Known:
    steps = ledger.steps(tx, row.id)
    step = next((s for s in steps if s.done_at is None), steps[-1])
    return Known(
        kind=Kind(row.kind),
        repeat=Repeat(step.repeat),
        leaves=FoundState(step.leaves),
        may_have_arrived=ledger.attempts_that_may_have_arrived(tx, row.id),
        resends=row.resends,
        said_duplicate=row.duplicate_at is not None,
        looked_since_duplicate=row.duplicate_at is not None and row.looks > 0,
    )


def _candidates(tx: Connection, row: Row[Any], key: InvoiceKey, found: Sequence[Found]) -> list[Candidate]:
    """What the portal shows under our number, and whose each is; what earlier revisions left there is theirs."""
    earlier = _left_by_earlier_revisions(tx, row)
    candidates = []
    for one in found:
        belongs = whose(one, key, bound_elsewhere=_bound_elsewhere(tx, row, one))
        left = (one.total, one.state is FoundState.REFUSED)
        if belongs in {Whose.OURS_BY_CONTENT, Whose.UNCLEAR} and left in earlier:
            earlier.remove(left)
            belongs = Whose.ANOTHERS
        if belongs is not None:
            candidates.append(Candidate(one, belongs))
    return candidates


def _left_by_earlier_revisions(tx: Connection, row: Row[Any]) -> list[tuple[Money, bool]]:
    """Total, and whether it was refused, of each earlier revision of this document that reached the portal."""
    s, r, x = t.submission.c, t.revision.c, t.transition.c
    reached = sa.exists().where(t.attempt.c.submission_id == s.id, t.attempt.c.delivered.is_distinct_from(Delivered.NO))
    was_refused = sa.exists().where(x.submission_id == s.id, x.subject == "submission", x.after == Submission.REFUSED)
    refused_at_once = sa.exists().where(t.attempt.c.submission_id == s.id, t.attempt.c.outcome == "Rejected")
    rows = tx.execute(
        sa.select(r.total, r.currency, was_refused.label("refused"))
        .join(t.revision, s.revision_id == r.id)
        .where(
            s.document_id == row.document_id,
            r.seq < row.seq,
            sa.or_(s.sent_at.is_not(None), reached, refused_at_once),
        )
    ).all()
    return [(Money(one.total, one.currency), bool(one.refused)) for one in rows]


def _bound_elsewhere(tx: Connection, row: Row[Any], found: Found) -> bool:
    """Whether this document at the portal is another submission's of ours."""
    s = t.submission.c
    ids = [
        column == value
        for column, value in ((s.payload_id, found.refs.payload_id), (s.portal_id, found.refs.portal_id))
        if value is not None
    ]
    if not ids:
        return False
    query = sa.select(s.id).where(s.connection == row.connection, s.id != row.id, sa.or_(*ids))
    return tx.execute(query).first() is not None


def _late_receipt(tx: Connection, submission_id: int) -> int | None:
    """The attempt whose yes came too late to count at once, if it was for the last step."""
    steps = ledger.steps(tx, submission_id)
    query = sa.select(t.attempt.c.id).where(
        t.attempt.c.step_id == steps[-1].id, t.attempt.c.late.is_(True), t.attempt.c.delivered == Delivered.YES
    )
    return tx.execute(query).scalars().first()


def _look_later(ws: Workspace, row: Row[Any], error: Exception) -> Submission:
    """The portal could not be asked: the doubt stays, and the look is made again."""
    at = ws.now()
    words = ws.archive.scrub.text(str(error) or type(error).__name__)
    wait = min(_LOOK_AGAIN * 2 ** min(row.looks, 10), _LONGEST_LOOK)
    if isinstance(error, Transient) and error.retry_after is not None:
        wait = max(wait, error.retry_after)
    with ws.db.writing() as tx:
        tx.execute(
            t.submission.update()
            .where(t.submission.c.id == row.id, t.submission.c.state == Submission.IN_DOUBT)
            .values(due_at=at + wait, looks=t.submission.c.looks + (0 if row.duplicate_at else 1))
        )
        ledger.note(
            tx, "lookup", at=at, actor=ledger.HUB, why=f"the portal could not be asked: {words}", submission_id=row.id
        )
        tasks.stop_for(tx, error, at=at, portal=row.connection, account=row.account, words=words)
    return Submission.IN_DOUBT


_ACTION = (
    "Sign in to the portal and look for {kind} {number} ({total}). If it is there, answer --sent with the portal's "
    "number as --reference; if it is not, answer --not-there and it is sent again; if the portal refused it, answer "
    "--refused with its words."
)


def _apply(
    ws: Workspace,
    row: Row[Any],
    judgement: Judgement,
    raw: bytes,
    attempt_id: int | None,
    *,
    settles: dt.timedelta = dt.timedelta(0),
    fence: int | None = None,
) -> Submission:
    at = ws.now()
    sha256 = ws.archive.put(raw) if raw else None
    proof = f"attempt:{attempt_id}" if attempt_id is not None else f"lookup:{sha256 or 'nothing found'}"
    try:
        with ws.db.writing() as tx:
            if sha256 is not None:
                evidence.chain(tx, "lookup", sha256, at=at, submission_id=row.id)
            if judgement.happening is None:
                tx.execute(
                    t.submission.update()
                    .where(t.submission.c.id == row.id)
                    .values(due_at=at + settles, looks=t.submission.c.looks + 1)
                )
                ledger.note(
                    tx, "lookup", at=at, actor=ledger.HUB, why=judgement.why, submission_id=row.id, evidence=proof
                )
                return Submission.IN_DOUBT
            return _move(tx, ws, row, judgement, proof, at=at, fence=row.fence if fence is None else fence)
    except (FencedOutError, IllegalMoveError) as error:
        _log.info("submission %s moved on meanwhile: %s", row.id, error)
        with ws.db.reading() as tx:
            return Submission(_row(tx, row.id).state)


def _values(judgement: Judgement, row: Row[Any], at: dt.datetime) -> dict[str, Any]:
    values: dict[str, Any] = {"looks": 0}
    if judgement.found is not None and judgement.found.refs.portal_id is not None:
        values["portal_id"] = judgement.found.refs.portal_id
    if judgement.happening is Happening.FOUND:
        values["sent_at"] = row.sent_at or at
    if judgement.resend:
        values["resends"] = row.resends + 1
    return values


def _move(
    tx: Connection,
    ws: Workspace,
    row: Row[Any],
    judgement: Judgement,
    proof: str,
    *,
    at: dt.datetime,
    fence: int,
) -> Submission:
    assert judgement.happening is not None  # noqa: S101 - for the type checker; the caller has looked
    reason = judgement.reason
    if judgement.happening is Happening.STUCK:
        reason = Reason(judgement.why)
    state = ledger.move(
        tx,
        row.id,
        judgement.happening,
        at=at,
        why=judgement.why,
        evidence=proof,
        fence=fence,
        reason=reason,
        **_values(judgement, row, at),
    )
    if judgement.happening is Happening.STUCK:
        total = ledger.key_of(tx, row.id).total
        tasks.open_task(
            tx,
            tasks.TaskKind.LOOK,
            at=at,
            submission=ledger.lock(tx, row.id),
            title=f"Is {row.kind} {row.number} at the portal? {judgement.why}",
            action=_ACTION.format(kind=row.kind, number=row.number, total=total),
        )
    if judgement.happening is Happening.FOUND:
        state = collect.replay(tx, ws, row.id)
    return state
