"""Which submission a portal's word is about: surely one, or none."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.connector import StatusEvent
from hub.contract.invoice import number_key
from hub.contract.status import Concerns, Delivered, Intake, Submission
from hub.store import tables as t

S = Submission


def bind(tx: Connection, connection: str, event: StatusEvent) -> int | None:
    """The submission that an event surely means, or None: by payload id, by portal id, else by number alone.

    A payload id that is none of ours speaks of another transmission, whatever number it bears.
    """
    s, refs = t.submission.c, event.refs
    for column, value in ((s.payload_id, refs.payload_id), (s.portal_id, refs.portal_id)):
        if value is not None:
            query = sa.select(s.id, s.document_id).where(s.connection == connection, column == value)
            rows = tx.execute(query.order_by(s.id.desc())).all()
            if len({row.document_id for row in rows}) == 1:
                return int(rows[0].id)  # a draft that a newer revision took over is the newer one's
    if refs.number is None or refs.payload_id is not None:
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
    standing = [row for row in rows if row.state != S.REFUSED and not was_refused(tx, row.id)]
    is_refusal = event.concerns is Concerns.INTAKE and event.word in {Intake.REFUSED, Intake.DUPLICATE}
    return int(standing[0].id) if len(standing) == 1 and not is_refusal else None


def _documents_numbered(number: str) -> sa.Select[tuple[int]]:
    """Documents whose own number or whose shown number is this one."""
    key = number_key(number)
    same = sa.func.lower(t.revision.c.shown_number) == sa.func.lower(number.strip())
    shown = sa.select(t.revision.c.document_id).where(same)
    return sa.select(t.document.c.id).where(sa.or_(t.document.c.number_key == key, t.document.c.id.in_(shown)))


def was_refused(tx: Connection, submission_id: int) -> bool:
    """Whether a revision had been refused before it was replaced or taken back."""
    query = sa.select(t.transition.c.id).where(
        t.transition.c.submission_id == submission_id,
        t.transition.c.subject == "submission",
        t.transition.c.before == S.REFUSED,
        t.transition.c.after.in_((S.SUPERSEDED, S.WITHDRAWN)),
    )
    return tx.execute(query).first() is not None
