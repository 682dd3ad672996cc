"""The road back: what portals say becomes events, and events move what they are surely about.

A page of events and its cursor are stored in one transaction. Repeats and any order are harmless. An event that cannot
be bound to exactly one submission is stored unmatched and shown; an unknown word moves nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import OpenRef, Page, Refs, StatusEvent
from hub.contract.errors import Reason
from hub.contract.invoice import number_key
from hub.contract.status import Concerns, Delivered, Intake, Stage, Submission
from hub.delivery import evidence, ledger, tasks
from hub.delivery.lifecycle import Happening, Hearing, hear, stage_after
from hub.delivery.workspace import Workspace
from hub.store import tables as t

S = Submission
_FINAL = (Stage.PAID, Stage.CANCELLED, Stage.REJECTED)
_REMEMBERED = dt.timedelta(days=60)  # so long are ended ones still listened to: a payment can be reversed


def collect(ws: Workspace, connection: str) -> int:
    """Ask one connection what is new; how many events were new. A failure is written down and moves nothing."""
    portal = ws.portal(connection)
    connector = portal.for_reading()
    if not connector.capabilities.statuses:
        return 0
    at = ws.now()
    with ws.db.reading() as tx:
        cursor = tx.execute(sa.select(t.connection.c.cursor).where(t.connection.c.key == connection)).scalar_one()
        refs = _open_refs(tx, connection, at)
    new = 0
    try:
        for page in connector.statuses(cursor, refs):
            new += store(ws, connection, page)
            connector = portal.for_reading()  # each page has its own deadline
    except Exception as error:  # noqa: BLE001 - a failed read is a fact about the connection, not about an invoice
        _failed(ws, connection, error, at)
        return new
    with ws.db.writing() as tx:
        tx.execute(
            t.connection.update()
            .where(t.connection.c.key == connection)
            .values(polled_at=at, heard_at=at, poll_error=None)
        )
    return new


def _failed(ws: Workspace, connection: str, error: Exception, at: dt.datetime) -> None:
    words = ws.archive.scrub.text(str(error) or type(error).__name__)
    with ws.db.writing() as tx:
        tx.execute(t.connection.update().where(t.connection.c.key == connection).values(polled_at=at, poll_error=words))
        ledger.note(tx, f"connection:{connection}", at=at, actor=ledger.HUB, why=f"status poll failed: {words}")
        tasks.stop_for(tx, error, at=at, portal=connection, account=None, words=words)


def _open_refs(tx: Connection, connection: str, at: dt.datetime) -> list[OpenRef]:
    """Whose status is still awaited, or may yet change."""
    s = t.submission.c
    recent = s.since > at - _REMEMBERED
    over = sa.or_(s.state.in_((S.REFUSED, S.WITHDRAWN, S.SUPERSEDED)), sa.func.coalesce(s.stage, "").in_(_FINAL))
    reached = sa.or_(s.first_attempt_at.is_not(None), s.sent_at.is_not(None))
    query = (
        sa.select(s.id, s.last_raw)
        .where(s.connection == connection, reached, sa.or_(sa.not_(over), recent))
        .order_by(s.id)
    )
    return [OpenRef(ledger.key_of(tx, row.id), row.last_raw) for row in tx.execute(query)]


def store(ws: Workspace, connection: str, page: Page) -> int:
    """Store a page and its cursor in one transaction, and apply what is new; how many events were."""
    documents = {event.event_id: ws.archive.put(event.document) for event in page.events if event.document}
    new = 0
    with ws.db.writing() as tx:
        for event in page.events:
            bound = bind(tx, connection, event.refs, event)
            new += _store_one(tx, ws, connection, event, bound, documents.get(event.event_id))
        if page.next_cursor is not None:
            tx.execute(t.connection.update().where(t.connection.c.key == connection).values(cursor=page.next_cursor))
    return new


def say(ws: Workspace, submission_id: int, event: StatusEvent, *, by: str) -> bool:
    """A person says what became of one invoice; False if exactly this was said before."""
    document = ws.archive.put(event.document) if event.document else None
    with ws.db.writing() as tx:
        row = ledger.lock(tx, submission_id)
        return _store_one(tx, ws, row.connection or "", event, submission_id, document, actor=f"person:{by}")


def bind(tx: Connection, connection: str, refs: Refs, event: StatusEvent) -> int | None:
    """The submission that `refs` surely mean, or None: by payload id, by portal id, else by number alone."""
    s = t.submission.c
    for column, value in ((s.payload_id, refs.payload_id), (s.portal_id, refs.portal_id)):
        if value is not None:
            ids = tx.execute(sa.select(s.id).where(s.connection == connection, column == value)).scalars().all()
            if len(ids) == 1:
                return int(ids[0])
    if refs.number is None:
        return None
    return _bind_by_number(tx, connection, refs.number, refs.customer, event)


def _bind_by_number(
    tx: Connection, connection: str, number: str, customer: str | None, event: StatusEvent
) -> int | None:
    """By number only if exactly one revision was ever sent, or, all others being refused, for no refusal."""
    s, d = t.submission.c, t.document.c
    arrived = sa.exists().where(t.attempt.c.submission_id == s.id, t.attempt.c.delivered.is_distinct_from(Delivered.NO))
    refused = sa.exists().where(t.attempt.c.submission_id == s.id, t.attempt.c.outcome == "Rejected")
    rows = tx.execute(
        sa.select(s.id, s.state, t.revision.c.shown_number)
        .join(t.document, s.document_id == d.id)
        .join(t.revision, s.revision_id == t.revision.c.id)
        .where(
            s.connection == connection,
            d.id.in_(_documents_numbered(number)),
            sa.or_(arrived, refused, s.sent_at.is_not(None)),
            *([s.portal_customer == customer] if customer is not None else []),
        )
    ).all()
    rows = [row for row in rows if number_key(row.shown_number) == number_key(number)]
    if len(rows) == 1:
        return int(rows[0].id)
    standing = [row for row in rows if row.state != S.REFUSED and not _was_refused(tx, row.id)]
    is_refusal = event.concerns is Concerns.INTAKE and event.word in {Intake.REFUSED, Intake.DUPLICATE}
    return int(standing[0].id) if len(standing) == 1 and not is_refusal else None


def _documents_numbered(number: str) -> sa.Select[tuple[int]]:
    """Documents whose own number or whose shown number is this one."""
    key = number_key(number)
    shown = sa.select(t.revision.c.document_id).where(sa.func.lower(t.revision.c.shown_number) == key)
    return sa.select(t.document.c.id).where(sa.or_(t.document.c.number_key == key, t.document.c.id.in_(shown)))


def _was_refused(tx: Connection, submission_id: int) -> bool:
    """Whether a superseded revision had been refused before it was replaced."""
    query = sa.select(t.transition.c.id).where(
        t.transition.c.submission_id == submission_id,
        t.transition.c.subject == "submission",
        t.transition.c.before == S.REFUSED,
        t.transition.c.after == S.SUPERSEDED,
    )
    return tx.execute(query).first() is not None


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
    e = t.event.c
    known = sa.select(e.id).where(e.connection == connection, e.event_id == event.event_id)
    if tx.execute(known).first() is not None:
        return False
    at = ws.now()
    scrub = ws.archive.scrub.text
    reasons = tuple(Reason(scrub(r.text), r.code, r.portal_code) for r in event.reasons)
    row_id = tx.execute(
        t.event.insert()
        .values(
            connection=connection,
            event_id=event.event_id,
            submission_id=submission_id,
            concerns=event.concerns,
            word=event.word,
            raw=scrub(event.raw),
            number=event.refs.number,
            payload_id=event.refs.payload_id,
            portal_id=event.refs.portal_id,
            portal_customer=event.refs.customer,
            reasons=ledger.reasons_to_json(reasons),
            happened_at=event.happened_at,
            observed_at=event.observed_at,
            stored_at=at,
            document_sha256=document,
            applied=False,
            note="",
        )
        .returning(e.id)
    ).scalar_one()
    if document is not None:
        evidence.chain(tx, "status", document, at=at, submission_id=submission_id)
    if submission_id is None:
        _close(tx, row_id, applied=True, note="no submission of ours is surely meant; nothing was moved")
    else:
        _apply(tx, submission_id, tx.execute(sa.select(t.event).where(e.id == row_id)).one(), at=at, actor=actor)
    return True


def replay(tx: Connection, ws: Workspace, submission_id: int) -> Submission:
    """Apply the events that waited while a submission was in doubt; the state it is in now."""
    e = t.event.c
    waiting = sa.select(t.event).where(e.submission_id == submission_id, e.applied.is_(False)).order_by(e.id)
    for event in tx.execute(waiting).all():
        _apply(tx, submission_id, event, at=ws.now(), actor=None)
    return S(ledger.lock(tx, submission_id).state)


def _close(tx: Connection, event_id: int, *, applied: bool, note: str) -> None:
    tx.execute(t.event.update().where(t.event.c.id == event_id).values(applied=applied, note=note))


def _apply(tx: Connection, submission_id: int, event: Row[Any], *, at: dt.datetime, actor: str | None) -> None:
    """Let one bound event do what it may."""
    row = ledger.lock(tx, submission_id)
    actor = actor or f"portal:{event.connection}"
    heard = hear(
        S(row.state),
        Concerns(event.concerns),
        event.word,
        was_sent=row.sent_at is not None,
        may_be_another=ledger.attempts_that_may_have_arrived(tx, submission_id) > 1,
    )
    _listen(tx, row, event)
    if heard.ask:
        tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(due_at=at))
        _close(tx, event.id, applied=False, note="the submission is in doubt; the portal is asked first")
        return
    if heard.contradicts and _speaks_of_now(row, event):
        _ask_a_person(tx, row, event, at=at, why=f"it is {row.state} here, and the portal says {event.raw!r}")
    for happening in heard.happenings:
        _happen(tx, row, event, happening, at=at, actor=actor)
    moved = _move_stage(tx, row, event, at=at, actor=actor) if heard.stage else ""
    _close(tx, event.id, applied=True, note=_what_it_did(heard, moved))


def _what_it_did(heard: Hearing, moved: str) -> str:
    parts = [str(happening) for happening in heard.happenings] + ([moved] if moved else [])
    if heard.contradicts:
        parts.append("contradicts what is known; a person is asked")
    return ", ".join(parts) or "moved nothing"


def _listen(tx: Connection, row: Row[Any], event: Row[Any]) -> None:
    """The portal's last word is kept whatever it moves, and so is the id it knows the document by."""
    values: dict[str, Any] = {"last_raw": event.raw, "heard_at": event.observed_at}
    if event.concerns == Concerns.INTAKE and event.word != Intake.UNKNOWN:
        values["intake_at"] = event.observed_at
    if event.portal_id is not None and row.portal_id is None:
        values["portal_id"] = event.portal_id
    tx.execute(t.submission.update().where(t.submission.c.id == row.id).values(**values))


def _speaks_of_now(row: Row[Any], event: Row[Any]) -> bool:
    """Whether an event is not merely an old one that comes late."""
    return event.happened_at is None or event.happened_at >= row.since


def _first_reason(event: Row[Any]) -> Reason | None:
    return next(iter(ledger.reasons_from_json(event.reasons)), None)


def _happen(
    tx: Connection,
    row: Row[Any],
    event: Row[Any],
    happening: Happening,
    *,
    at: dt.datetime,
    actor: str,
) -> None:
    reason = None
    values: dict[str, Any] = {}
    if happening is Happening.REFUSED:
        reason = _first_reason(event) or Reason(f"the portal says {event.raw!r} and gives no reason")
    if happening is Happening.DOUBTED:
        reason = _first_reason(event) or Reason(f"the portal says {event.raw!r}")
        values = {"due_at": at, "looks": 0}
        if event.word == Intake.DUPLICATE:
            values["duplicate_at"] = at
    ledger.move(
        tx,
        row.id,
        happening,
        at=at,
        actor=actor,
        why=f"the portal says {event.raw!r}",
        evidence=f"event:{event.id}",
        reason=reason,
        **values,
    )
    if row.state == S.NEEDS_HUMAN:
        tx.execute(
            t.task.update()
            .where(t.task.c.submission_id == row.id, t.task.c.answered_at.is_(None))
            .values(answered_at=at, answered_by=actor, answer=f"the portal itself answered: {event.raw}")
        )


def _move_stage(tx: Connection, row: Row[Any], event: Row[Any], *, at: dt.datetime, actor: str) -> str:
    """The buyer's machine; what it did, in words."""
    before = Stage(row.stage) if row.stage is not None else None
    after = stage_after(before, event.word, happened_at=event.happened_at, known_until=row.stage_happened_at)
    if not after.moved or after.stage is None:
        return ""
    reason = _first_reason(event)
    tx.execute(
        t.submission.update()
        .where(t.submission.c.id == row.id)
        .values(
            stage=after.stage,
            stage_since=event.happened_at or event.observed_at,
            stage_happened_at=event.happened_at,
            **{f"stage_{name}": value for name, value in ledger.reason_columns(reason).items()},
        )
    )
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
    tasks.open_task(
        tx,
        tasks.TaskKind.DECIDE,
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
        query = sa.select(s.id).where(
            s.connection == key, s.state == S.SENT, s.intake_at.is_(None), s.sent_at < at - within
        )
        with ws.db.writing() as tx:
            for submission_id in tx.execute(query).scalars().all():
                _make_overdue(tx, submission_id, at, within)
                stuck.append(submission_id)
    return stuck


def _make_overdue(tx: Connection, submission_id: int, at: dt.datetime, within: dt.timedelta) -> None:
    key = ledger.key_of(tx, submission_id)
    why = f"the portal has not said within {within} whether it takes it"
    ledger.move(tx, submission_id, Happening.STUCK, at=at, why=why, reason=Reason(why))
    tasks.open_task(
        tx,
        tasks.TaskKind.LOOK,
        at=at,
        submission=ledger.lock(tx, submission_id),
        title=f"Has the portal taken {key.kind} {key.number}? {why}",
        action="Look at the portal and answer --sent, --not-there or --refused.",
    )
