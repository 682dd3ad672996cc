"""The road back: what portals say becomes events, and events move what they are surely about.

A page of events and its cursor are stored in one transaction. Repeats and any order are harmless. An event that cannot
be bound to exactly one submission is stored unmatched and shown; an unknown word moves nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import OpenRef, Page, StatusEvent
from hub.contract.errors import Reason
from hub.contract.status import Concerns, Intake, Stage, Submission
from hub.delivery import asking, attempts, evidence, ledger
from hub.delivery.awaited import open_refs
from hub.delivery.binding import bind
from hub.delivery.heard import Round, order
from hub.delivery.lifecycle import Happening, hear, stage_after
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.store.database import StoreError, insert_new

S = Submission


def collect(ws: Workspace, connection: str, customers: Collection[str] | None = None) -> int:
    """Ask one connection what is new; how many events were new. A failure is written down and moves nothing.

    A portal that is asked customer by customer is asked about `customers` (its own ids; None: everybody with something
    open), those first that were not asked about for longest. One's failure stops no other; two in a row end it.
    """
    capabilities = ws.portal(connection).for_reading().capabilities
    if not capabilities.statuses:
        return 0
    at = ws.now()
    with ws.db.reading() as tx:
        refs = open_refs(tx, connection, at)
    poll = Round(ws, connection, refs, at)
    asked: Sequence[str | None] = [None]
    if capabilities.statuses_by_customer:
        asked = order(ws, connection, refs, customers)
    new = 0
    for place, customer in enumerate(asked, 1):
        new += _ask(ws, poll, customer, asked[place:])
        if poll.is_over or ws.cancel.is_set():
            break
    return new


def _ask(ws: Workspace, poll: Round, customer: str | None, rest: Sequence[str | None]) -> int:
    """One call; what it tells is stored page by page, and only a call that ended well makes its accounts heard."""
    new = 0
    try:
        for stored in _pages(ws, poll.connection, [ref for _, ref in poll.covered(customer)]):
            new += stored
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a failed read is a fact about the connection, not about an invoice
        if not ws.cancel.is_set():  # what a stop cut off says nothing of the portal
            poll.failed(customer, error, rest)
        return new
    poll.worked(customer)
    return new


def _pages(ws: Workspace, connection: str, refs: list[OpenRef]) -> Iterator[int]:
    """Ask, and store page by page; how many of its events were new."""
    portal = ws.portal(connection)
    with ws.db.reading() as tx:
        cursor = tx.execute(sa.select(t.connection.c.cursor).where(t.connection.c.key == connection)).scalar_one()
    for page in portal.for_reading().statuses(cursor, refs):
        yield store(ws, connection, page)
        portal.for_reading()  # each page has its own deadline


def store(ws: Workspace, connection: str, page: Page) -> int:
    """Store a page and its cursor in one transaction, and apply what is new; how many events were."""
    documents = {event.event_id: ws.archive.put(event.document) for event in page.events if event.document}
    new: list[tuple[StatusEvent, int | None]] = []
    with ws.db.writing("collect.page") as tx:
        for event in page.events:
            told = _scrubbed(ws, event)
            bound = bind(tx, connection, told)
            if _store_one(tx, ws, connection, told, bound, documents.get(event.event_id)):
                new.append((event, bound))
        if page.next_cursor is not None:
            tx.execute(t.connection.update().where(t.connection.c.key == connection).values(cursor=page.next_cursor))
        for event, bound in new:
            _prove(tx, ws, documents.get(event.event_id), bound)
    return len(new)


def say(ws: Workspace, submission_id: int, event: StatusEvent, *, by: str) -> bool:
    """A person says what became of one invoice; False if exactly this was said before."""
    document = ws.archive.put(event.document) if event.document else None
    with ws.db.writing("collect.said") as tx:
        row = ledger.lock(tx, submission_id)
        told = _scrubbed(ws, event)
        new = _store_one(tx, ws, row.connection or "", told, submission_id, document, actor=f"person:{by}")
        if new:
            _prove(tx, ws, document, submission_id)
    return new


def _scrubbed(ws: Workspace, event: StatusEvent) -> StatusEvent:
    scrub = ws.archive.scrub
    return replace(
        event,
        refs=scrub.refs(event.refs),
        word=scrub.text(event.word),
        raw=scrub.text(event.raw),
        reasons=scrub.reasons(event.reasons),
    )


def _prove(tx: Connection, ws: Workspace, document: str | None, submission_id: int | None) -> None:
    if document is not None:
        evidence.chain(tx, "status", document, at=ws.now(), submission_id=submission_id)


def _store_one(
    tx: Connection,
    ws: Workspace,
    connection: str,
    event: StatusEvent,
    submission_id: int | None,
    document: str | None,
    *,
    actor: str | None = None,
) -> bool:
    """Store one event and apply it; False if it is here already."""
    at = ws.now()
    row_id = insert_new(
        tx,
        t.event,
        connection=connection,
        event_id=event.event_id,
        submission_id=submission_id,
        concerns=event.concerns,
        word=event.word,
        raw=event.raw,
        number=event.refs.number,
        payload_id=event.refs.payload_id,
        portal_id=event.refs.portal_id,
        portal_customer=event.refs.customer,
        reasons=ledger.reasons_to_json(event.reasons),
        happened_at=event.happened_at,
        observed_at=event.observed_at,
        stored_at=at,
        document_sha256=document,
        applied=False,
        note="",
    )
    if row_id is None:
        return False
    if submission_id is None:
        _close(tx, row_id, applied=True, note="no submission of ours is surely meant; nothing was moved")
        return True
    row = tx.execute(sa.select(t.event).where(t.event.c.id == row_id)).one()
    _listen(tx, ledger.lock(tx, submission_id), row)
    _apply(tx, ws, submission_id, row, actor=actor)
    return True


# Statements of every delivery, made once.
_WAITING = (
    sa.select(t.event)
    .where(t.event.c.submission_id == sa.bindparam("submission"), t.event.c.applied.is_(False))
    .order_by(t.event.c.id)
)
_UNMATCHED = (
    sa.select(t.event)
    .where(
        t.event.c.submission_id.is_(None),
        t.event.c.connection == sa.bindparam("of"),
        sa.or_(t.event.c.payload_id == sa.bindparam("payload"), t.event.c.portal_id == sa.bindparam("portal")),
    )
    .order_by(t.event.c.id)
)


def waiting(tx: Connection, submission_id: int) -> list[Row[Any]]:
    """The events of a submission that wait until the portal or a person has said what is true of it."""
    return list(tx.execute(_WAITING, {"submission": submission_id}).all())


def replay(tx: Connection, ws: Workspace, submission_id: int) -> Submission:
    """Apply the events that waited, and those that came before its ids were known; the state it is in now."""
    row = ledger.lock(tx, submission_id)
    for event in _matched_at_last(tx, row):
        _listen(tx, row, event)
    waited = waiting(tx, submission_id)
    for event in waited:
        _apply(tx, ws, submission_id, event, actor=None)
    return S(ledger.lock(tx, submission_id).state if waited else row.state)


def _matched_at_last(tx: Connection, row: Row[Any]) -> list[Row[Any]]:
    """The events of its connection that were stored unmatched and bear an id that is known to be its own by now."""
    ids = {"of": row.connection, "payload": row.payload_id or None, "portal": row.portal_id or None}
    found = list(tx.execute(_UNMATCHED, ids).all())
    if found:
        mine = t.event.c.id.in_([event.id for event in found])
        tx.execute(t.event.update().where(mine).values(submission_id=row.id, applied=False))
    return found


def close_waiting(tx: Connection, submission_id: int, note: str) -> None:
    """The events that waited are answered otherwise and move nothing."""
    for event in waiting(tx, submission_id):
        _close(tx, event.id, applied=True, note=note)


def _close(tx: Connection, event_id: int, *, applied: bool, note: str) -> None:
    tx.execute(t.event.update().where(t.event.c.id == event_id).values(applied=applied, note=note))


def _apply(tx: Connection, ws: Workspace, submission_id: int, event: Row[Any], *, actor: str | None) -> None:
    """Let one bound event do what it may."""
    at = ws.now()
    row = ledger.lock(tx, submission_id)
    actor = actor or f"portal:{event.connection}"
    arrived = attempts.most_that_may_have_arrived(tx, submission_id)
    heard = hear(
        S(row.state),
        Concerns(event.concerns),
        event.word,
        was_sent=row.sent_at is not None,
        may_be_there=arrived > 0,
        may_be_another=arrived > 1,
    )
    if heard.wait:
        _keep_waiting(tx, ws, row, event)
        return
    contradicts = heard.contradicts and _speaks_of_now(row, event)
    if contradicts:
        _ask_a_person(tx, row, event, at=at, why=f"it is {row.state} here, and the portal says {event.raw!r}")
    for happening in heard.happenings:
        _happen(tx, ws, row, event, happening, actor=actor)
    if heard.happenings[-1:] == (Happening.STUCK,):
        asking.ask_to_look(tx, row.id, at=at, why=f"the portal says {event.raw!r}")
    done = [str(happening) for happening in heard.happenings]
    done += filter(None, [_move_stage(tx, row, event, at=at, actor=actor) if heard.stage else ""])
    done += ["contradicts what is known; a person is asked"] if contradicts else []
    _close(tx, event.id, applied=True, note=", ".join(done) or "moved nothing")


def _keep_waiting(tx: Connection, ws: Workspace, row: Row[Any], event: Row[Any]) -> None:
    """The word is kept; in doubt the portal is asked as soon as its search must know of the last attempt."""
    values: dict[str, Any] = {}
    if row.state == S.IN_DOUBT and row.duplicate_at is None:
        settled = _settled_at(ws, row)
        values["due_at"] = settled if row.due_at is None else min(row.due_at, settled)
    if event.word == Intake.DUPLICATE and event.concerns == Concerns.INTAKE and row.duplicate_at is None:
        values |= {"duplicate_at": ws.now(), "looks": 0}
    if values:
        tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(**values))
    _close(tx, event.id, applied=False, note=f"waits, for the submission is {row.state}")


def _settled_at(ws: Workspace, row: Row[Any]) -> dt.datetime:
    """From when on an absence at the portal means something."""
    at = ws.now()
    return max(at, (row.last_attempt_at or at) + ws.settles_within(row.connection))


def _listen(tx: Connection, row: Row[Any], event: Row[Any]) -> None:
    """The portal's last word is kept whatever it moves, and so is the id it knows the document by."""
    values: dict[str, Any] = {"last_raw": event.raw, "heard_at": event.observed_at}
    if event.concerns == Concerns.INTAKE and event.word in set(Intake) - {Intake.UNKNOWN}:
        values["intake_at"] = event.observed_at
    if event.portal_id is not None and row.portal_id is None:
        values["portal_id"] = event.portal_id
    tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(**values))


def _speaks_of_now(row: Row[Any], event: Row[Any]) -> bool:
    """Whether an event is not merely an old one that comes late, or one that says what was known all along."""
    is_late = event.happened_at is not None and event.happened_at < row.since
    return not is_late and not (event.concerns == Concerns.STAGE and event.word == row.stage)


def _first_reason(event: Row[Any]) -> Reason | None:
    return next(iter(ledger.reasons_from_json(event.reasons)), None)


def _happen(tx: Connection, ws: Workspace, row: Row[Any], event: Row[Any], happening: Happening, *, actor: str) -> None:
    at = ws.now()
    reason = None
    values: dict[str, Any] = {}
    if happening in {Happening.REFUSED, Happening.DOUBTED}:
        reason = _first_reason(event) or Reason(f"the portal says {event.raw!r} and gives no reason")
    if happening is Happening.FOUND:
        values = {"sent_at": row.sent_at or at}
    if happening is Happening.DOUBTED:
        values = {"due_at": _settled_at(ws, row), "looks": 0}
    if happening in {Happening.DOUBTED, Happening.STUCK} and event.word == Intake.DUPLICATE:
        values["duplicate_at"] = at
    why = f"the portal says {event.raw!r}"
    ledger.move(
        tx, row.id, happening, at=at, actor=actor, why=why, evidence=f"event:{event.id}", reason=reason, **values
    )
    if row.state == S.NEEDS_HUMAN:
        asking.close_tasks(tx, row.id, (asking.TaskKind.LOOK,), at=at, by=actor, answer=f"answered itself: {event.raw}")


def _move_stage(tx: Connection, row: Row[Any], event: Row[Any], *, at: dt.datetime, actor: str) -> str:
    """The buyer's machine; what it did, in words."""
    before = Stage(row.stage) if row.stage is not None else None
    after = stage_after(before, event.word, happened_at=event.happened_at, known_until=row.stage_happened_at)
    reason = _first_reason(event)
    values: dict[str, Any] = {"stage_happened_at": after.known_until}
    if after.moved:
        values |= {"stage": after.stage, "stage_since": event.happened_at or event.observed_at}
    if after.moved or (after.counts and reason is not None):
        values |= {f"stage_{name}": value for name, value in ledger.reason_columns(reason).items()}
    tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(**values))
    if not after.moved:
        return ""
    why = f"the portal says {event.raw!r}" + (f": {reason.text}" if reason else "")
    ledger.note(
        tx,
        "stage",
        before=before,
        after=after.stage,
        at=at,
        actor=actor,
        why=why,
        submission_id=row.id,
        evidence=f"event:{event.id}",
    )
    if after.person:
        _ask_a_person(tx, row, event, at=at, why=f"it was {before}, and now the portal says {event.raw!r}")
    return f"stage {after.stage}"


def _ask_a_person(tx: Connection, row: Row[Any], event: Row[Any], *, at: dt.datetime, why: str) -> None:
    asking.open_task(
        tx,
        asking.TaskKind.DECIDE,
        at=at,
        submission=row,
        title=f"What is true? {why}",
        action="Look at the portal, or ask the buyer, and answer what is true. Until then no correction is taken.",
        step=f"event:{event.id}",
    )


def overdue(ws: Workspace) -> list[int]:
    """Sent submissions that the portal has not acknowledged in the time it has; each becomes a task."""
    at = ws.now()
    s = t.submission.c
    stuck: list[int] = []
    for key, portal in ws.portals.items():
        within = portal.for_reading().capabilities.acknowledged_within
        if within is None:
            continue
        unheard = sa.and_(s.connection == key, s.state == S.SENT, s.intake_at.is_(None), s.since < at - within)
        with ws.db.reading() as tx:
            ids = tx.execute(sa.select(s.id).where(unheard).order_by(s.id)).scalars().all()
        stuck += [submission_id for submission_id in ids if _make_overdue(ws, submission_id, unheard, within)]
    return stuck


def _make_overdue(ws: Workspace, submission_id: int, unheard: sa.ColumnElement[bool], within: dt.timedelta) -> bool:
    why = f"the portal has not said within {within} whether it takes it"
    at = ws.now()
    with ws.db.writing("collect.overdue") as tx:
        ledger.lock(tx, submission_id)
        if tx.execute(sa.select(t.submission.c.id).where(t.submission.c.id == submission_id, unheard)).first() is None:
            return False  # it was heard of meanwhile
        ledger.move(tx, submission_id, Happening.STUCK, at=at, why=why, reason=Reason(why))
        asking.ask_to_look(tx, submission_id, at=at, why=why)
    return True
