"""Comparing what we know with what the portals have: one invoice at a time, in whatever state it is.

Doubt is settled by `reconcile`. Here what seemed settled is looked at again: an invoice that a portal committed late,
that vanished, that somebody keyed in, that stands there twice or over another amount. Nothing is ever sent.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Capabilities, Found, FoundState, InvoiceKey, Lookup
from hub.contract.errors import Reason
from hub.contract.invoice import Kind
from hub.contract.status import Delivered, Stage, Submission
from hub.delivery import asking, attempts, collect, evidence, ledger, reconcile
from hub.delivery.asking import TaskKind
from hub.delivery.binding import was_refused
from hub.delivery.candidates import bound_elsewhere, candidates, left_by_others, shown
from hub.delivery.compare import DIFFERENCES, Compared, Held, Outcome, compare
from hub.delivery.lifecycle import Happening
from hub.delivery.related import prior
from hub.delivery.verdict import stops
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.store.database import StoreError

__all__ = ["DIFFERENCES", "UNANSWERED", "Looked", "Outcome", "due", "look", "next_look", "not_asked", "open_rows"]

S = Submission
UNANSWERED = "the portal could not be asked"  # how the words of a look that failed begin
_ENDED = (S.REFUSED, S.WITHDRAWN, S.SUPERSEDED)
_FINAL = (Stage.PAID, Stage.CANCELLED, Stage.REJECTED)
_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
_LATE = (_HOUR, _DAY, 7 * _DAY)  # after its last attempt is a possible late commit looked for
_UNHEARD = {S.SENT: _DAY, S.NEEDS_HUMAN: _DAY, S.ACCEPTED: 7 * _DAY}  # so long unheard of, it is looked for again
_ROUND = 20  # looks of a connection in one round: submits and polls need its requests more
_log = logging.getLogger(__name__)
_x = t.transition.c
_WAS_MISSED = sa.exists().where(  # a person is asked because a look did not find what was sent
    _x.submission_id == t.submission.c.id,
    _x.at == t.submission.c.since,
    _x.before == S.SENT,
    _x.after == S.NEEDS_HUMAN,
    _x.evidence.startswith("lookup:"),
)


@dataclass(frozen=True)
class Looked:
    """What one look came to."""

    submission_id: int
    number: str
    connection: str
    outcome: Outcome
    words: str


def look(ws: Workspace, submission_id: int) -> Looked:
    """Ask the portal what it has under one submission's number, compare, and do what follows. Raises StoreError alone.

    A look that fails changes nothing about the invoice; a refused login pauses its connection.
    """
    with ws.db.reading() as tx:
        row = reconcile.read(tx, submission_id)
        key = ledger.key_of(tx, submission_id)
    if row.state == S.IN_DOUBT:
        return _settle(ws, row, key)
    for holds, outcome, words in (
        (row.connection is None, Outcome.NO_LOOKUP, "it has no account yet"),
        (row.kind == Kind.CANCELLATION, Outcome.NO_LOOKUP, "a cancellation shows in its original alone"),
        (row.state == S.SENDING, Outcome.COULD_NOT_ASK, "it is being sent"),
    ):
        if holds:
            return _looked(row, key, outcome, words)
    try:
        portal = ws.portal(row.connection)
        capabilities = portal.for_reading().capabilities
        if capabilities.lookup is Lookup.NONE:
            return _looked(row, key, Outcome.NO_LOOKUP, "this portal cannot be asked")
        found = reconcile.ask(portal, key)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a look that failed proves nothing
        return _could_not(ws, row, key, error)
    with ws.db.reading() as tx:
        compared = _compare(tx, ws, row, key, found, capabilities)
        looked = _looked(row, key, compared.outcome, ws.archive.scrub.text(compared.words))
        is_news = _says_something_new(tx, row, looked)
    if looked.outcome is Outcome.COULD_NOT_ASK:
        return looked
    raw = b"\n".join(one.raw for one in found)
    sha256 = ws.archive.put(raw) if raw and is_news else None
    return _apply(ws, row, key, compared, looked, sha256)


def not_asked(ws: Workspace, submission_id: int, why: str) -> Looked:
    """A look that is not made, and why."""
    with ws.db.reading() as tx:
        row = reconcile.read(tx, submission_id)
        return _looked(row, ledger.key_of(tx, submission_id), Outcome.COULD_NOT_ASK, ws.archive.scrub.text(why))


def _looked(row: Row[Any], key: InvoiceKey, outcome: Outcome, words: str) -> Looked:
    return Looked(row.id, key.number, row.connection or "", outcome, words)


def _compare(
    tx: Connection, ws: Workspace, row: Row[Any], key: InvoiceKey, found: Sequence[Found], capabilities: Capabilities
) -> Compared:
    state = S(row.state)
    held_by = bound_elsewhere(tx, row, found)
    if state in _ENDED:  # a draft that a newer revision took over is the newer one's
        found = [one for one, holder in zip(found, held_by, strict=True) if holder is None]
        seen = shown(key, found, [None] * len(found))
    elif state in {S.SENT, S.ACCEPTED}:
        seen = shown(key, found, held_by)
    else:
        seen = candidates(tx, row, key, found)
    before = prior(tx, row.replaces_id)
    last = max((at for at in (row.last_attempt_at, row.sent_at) if at is not None), default=None)
    held = Held(
        state=state,
        total=key.total,
        customer=key.portal_customer,
        stage=None if row.stage is None else Stage(row.stage),
        known_there=row.sent_at is not None and (state not in _ENDED or _was_replaced(tx, row)),
        missed=tx.execute(sa.select(t.submission.c.id).where(t.submission.c.id == row.id, _WAS_MISSED)).first()
        is not None,
        drafted=row.portal_id is not None
        or any(step.done_at for step in attempts.steps_of(tx, row.id))
        or (before is not None and before.state is FoundState.DRAFT),
        may_be_there=attempts.is_in_the_open(tx, row.id),
        exact=capabilities.lookup is Lookup.EXACT,
        settled=last is None or last + capabilities.settles_within <= ws.now(),
    )
    return compare(held, seen, left_by_others(tx, row, held_by, earlier=False))


def _was_replaced(tx: Connection, row: Row[Any]) -> bool:
    """Whether it was in at the portal until a correction took its place."""
    return row.state == S.SUPERSEDED and not was_refused(tx, row.id)


def _settle(ws: Workspace, row: Row[Any], key: InvoiceKey) -> Looked:
    """In doubt: the portal is asked as always, if it is time."""
    if row.due_at is not None and row.due_at > ws.now():
        words = f"in doubt; the portal's search may not know it before {row.due_at:%Y-%m-%d %H:%M:%S} UTC"
        return _looked(row, key, Outcome.COULD_NOT_ASK, words)
    after = reconcile.reconcile(ws, row.id)
    x = t.transition.c
    with ws.db.reading() as tx:
        told = sa.select(x.why).where(x.submission_id == row.id, x.subject.in_(("submission", "lookup")))
        why = tx.execute(told.order_by(x.id.desc())).scalars().first() or ""
    outcomes = {
        S.IN_DOUBT: Outcome.COULD_NOT_ASK,
        S.SENT: Outcome.ADOPTED,
        S.ACCEPTED: Outcome.ADOPTED,
        S.REFUSED: Outcome.AGREES,
        S.READY: Outcome.MISSING,
    }
    return _looked(row, key, outcomes.get(after, Outcome.DIFFERS), f"it was in doubt, and is {after}: {why}")


def _could_not(ws: Workspace, row: Row[Any], key: InvoiceKey, error: Exception) -> Looked:
    """Nothing is known by it; what stops more than this look stops."""
    scrub = ws.archive.scrub
    if stops(error) is not None:
        with ws.db.writing("audit.stop") as tx:
            asking.stop_for(tx, error, at=ws.now(), scrub=scrub, connection=row.connection, account=row.account)
    words = scrub.text(str(error) or type(error).__name__)
    return _looked(row, key, Outcome.COULD_NOT_ASK, f"{UNANSWERED}: {words}")


def _apply(
    ws: Workspace, row: Row[Any], key: InvoiceKey, compared: Compared, looked: Looked, sha256: str | None
) -> Looked:
    """Write down what the look says, if it says anything new, and do what follows; unless the row has moved on.

    `sha256`: of what the portal showed, in the archive.
    """
    at = ws.now()
    proof = f"lookup:{sha256 or 'nothing found'}"
    told = {"after": looked.outcome, "why": looked.words, "evidence": proof}
    with ws.db.writing("audit.apply") as tx:
        now = ledger.lock(tx, row.id)
        if (now.state, now.since, now.fence) != (row.state, row.since, row.fence):
            _log.info("submission %s moved on meanwhile", row.id)
            return _looked(row, key, Outcome.COULD_NOT_ASK, "it moved on while the portal was asked")
        tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(looked_at=at))
        if not _says_something_new(tx, now, looked):
            return looked
        ledger.note(tx, "lookup", at=at, actor=ledger.HUB, submission_id=row.id, **told)
        if compared.happening is not None:
            _move(tx, ws, now, compared.happening, compared.found, looked.words, proof)
        if compared.asks:
            _ask(tx, now, key, compared.asks, looked.words, at=at)
        if sha256 is not None:
            evidence.chain(tx, "lookup", sha256, at=at, submission_id=row.id)
    return looked


def _says_something_new(tx: Connection, row: Row[Any], looked: Looked) -> bool:
    """Whether it is not what the last look said already; what was sent, or heard of, since can be missing anew."""
    if looked.outcome is Outcome.ADOPTED:
        return True
    x = t.transition.c
    query = sa.select(x.at, x.after, x.why).where(
        x.submission_id == row.id, x.subject == "lookup", x.after.is_not(None)
    )
    last = tx.execute(query.order_by(x.id.desc())).first()
    if looked.outcome not in DIFFERENCES:
        return last is not None and last.after in DIFFERENCES
    if last is None:
        return True
    since = [row.last_attempt_at, row.heard_at if looked.outcome is Outcome.MISSING else None]
    again = any(at is not None and at >= last.at for at in since)
    return again or (last.after, last.why) != (looked.outcome, looked.words)


def _move(
    tx: Connection, ws: Workspace, row: Row[Any], happening: Happening, found: Found | None, words: str, proof: str
) -> None:
    at = ws.now()
    if happening is Happening.STUCK:
        ledger.move(tx, row.id, happening, at=at, why=words, evidence=proof, reason=Reason(words))
        asking.ask_to_look(tx, row.id, at=at, why=words)
        return
    values: dict[str, Any] = {"sent_at": row.sent_at or at}
    if found is not None and found.refs.portal_id is not None:
        values["portal_id"] = ws.archive.scrub.refs(found.refs).portal_id
    ledger.move(tx, row.id, happening, at=at, why=words, evidence=proof, looks=0, **values)
    kinds = (TaskKind.LOOK, TaskKind.KEY_IN, TaskKind.DO)
    asking.close_tasks(tx, row.id, kinds, at=at, by=ledger.HUB, answer=f"answered itself: {words}")
    collect.replay(tx, ws, row.id)


def _ask(tx: Connection, row: Row[Any], key: InvoiceKey, step: str, words: str, *, at: dt.datetime) -> None:
    asking.open_task(
        tx,
        TaskKind.DECIDE,
        at=at,
        submission=row,
        step=step,
        title=f"What is true of {key.kind} {key.number}? {words}",
        action="Sign in to the portal, look, put right there what is wrong there, and answer what is true (--done if "
        "nothing changes here). Until then no other content is taken under this number.",
    )


def next_look(last_attempt: dt.datetime, looked_at: dt.datetime | None) -> dt.datetime | None:
    """When an invoice whose attempt may yet arrive is looked for again; None when it has been often enough. Pure."""
    looks = (last_attempt + after for after in _LATE)
    return next((at for at in looks if looked_at is None or looked_at < at), None)


def due(ws: Workspace, connection: str, *, limit: int = _ROUND) -> list[int]:
    """What is to be looked at now on a connection that can be asked: what may have come late, what is long unheard of.

    What was never looked at comes first, then what was longest ago.
    """
    at = ws.now()
    if ws.portal(connection).for_reading().capabilities.lookup is Lookup.NONE:
        return []
    s = t.submission.c
    columns = sa.select(s.id, s.looked_at, s.last_attempt_at).where(s.connection == connection, _can_be_asked(at))
    with ws.db.reading() as tx:
        late = tx.execute(columns.where(_may_come_late())).all()
        rows = {row.id: row for row in late if (when := next_look(row.last_attempt_at, row.looked_at)) and when <= at}
        rows |= {row.id: row for row in tx.execute(columns.where(_long_unheard(at)))}
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return sorted(rows, key=lambda one: (rows[one].looked_at or never, one))[:limit]


def _can_be_asked(at: dt.datetime) -> sa.ColumnElement[bool]:
    """Neither its connection nor its account is paused, or left alone for a while."""
    s = t.submission.c
    stopped = (
        sa.exists().where(table.c.key == key, sa.or_(table.c.paused_at.is_not(None), table.c.retry_at > at))
        for table, key in ((t.connection, s.connection), (t.account, s.account))
    )
    return sa.and_(*(sa.not_(stands) for stands in stopped))


def _may_come_late() -> sa.ColumnElement[bool]:
    """An attempt without a sure end was judged absent, or is not the only one that may be there."""
    s, a, b = t.submission.c, t.attempt.alias(), t.attempt.alias()
    no_end = sa.and_(a.c.submission_id == s.id, sa.or_(a.c.delivered.is_(None), a.c.delivered == Delivered.UNKNOWN))
    another = sa.and_(b.c.step_id == a.c.step_id, b.c.id != a.c.id, b.c.delivered.is_distinct_from(Delivered.NO))
    unsure, second = sa.exists().where(no_end), sa.exists().where(no_end, another)
    judged_absent = sa.and_(s.state.in_((*_ENDED, S.READY, S.NEEDS_HUMAN)), unsure)
    return sa.or_(judged_absent, sa.and_(s.state.in_((S.SENT, S.ACCEPTED)), second))


def _long_unheard(at: dt.datetime) -> sa.ColumnElement[bool]:
    """It was known to be there, it is not at its end, and neither the portal nor a look has spoken of it for long."""
    s = t.submission.c
    unheard = [
        sa.and_(
            s.state == state,
            *(sa.or_(spoken.is_(None), spoken <= at - long) for spoken in (s.heard_at, s.looked_at)),
        )
        for state, long in _UNHEARD.items()
    ]
    open_ = sa.func.coalesce(s.stage, "").not_in(_FINAL)
    asked = sa.or_(s.state != S.NEEDS_HUMAN, _WAS_MISSED)
    return sa.and_(s.sent_at <= at - _DAY, open_, sa.or_(*unheard), asked)


def open_rows(ws: Workspace, *where: sa.ColumnElement[bool]) -> list[int]:
    """Every submission that is worth asking a portal for: not what has come to its end there, or never was there."""
    s, a = t.submission.c, t.attempt.c
    tried = sa.exists().where(a.submission_id == s.id)
    over = sa.and_(s.state == S.ACCEPTED, sa.func.coalesce(s.stage, "").in_(_FINAL))
    query = sa.select(s.id).where(
        s.connection.is_not(None),
        sa.not_(over),
        sa.or_(s.state.not_in((S.WITHDRAWN, S.SUPERSEDED)), tried),
        *where,
    )
    with ws.db.reading() as tx:
        return list(tx.execute(query.order_by(s.connection, s.id)).scalars())
