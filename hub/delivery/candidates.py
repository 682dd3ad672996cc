"""What a portal shows under our number, and whose each document is: this revision's, another's, or not surely ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from hub.contract.connector import Found, FoundState, InvoiceKey
from hub.contract.errors import Rejected
from hub.contract.invoice import Money
from hub.contract.status import Delivered, Submission
from hub.delivery.binding import was_refused
from hub.delivery.judge import Candidate, Whose, whose
from hub.store import tables as t

S = Submission
_UNSETTLED = (S.READY, S.SENDING, S.IN_DOUBT, S.NEEDS_HUMAN)


@dataclass(frozen=True)
class Left:
    """What another revision of the same document left at the portal."""

    submission_id: int
    total: Money
    refused: bool
    sure: bool  # it is known to be there, or is being settled; else an attempt of it may have arrived, no more


def candidates(tx: Connection, row: Row[Any], key: InvoiceKey, found: Sequence[Found]) -> list[Candidate]:
    """The portal's documents for a submission; what earlier revisions left there is theirs.

    Where nobody knows whether an earlier one is there, a document that may be its own is nobody's for sure.
    """
    held = bound_elsewhere(tx, row, found)
    earlier = left_by_others(tx, row, held, earlier=True)
    seen = []
    for one in shown(key, found, held):
        left = _first(earlier, one) if one.whose in {Whose.OURS_BY_CONTENT, Whose.UNCLEAR} else None
        if left is None:
            seen.append(one)
        else:
            earlier.remove(left)
            seen.append(Candidate(one.found, Whose.ANOTHERS if left.sure else Whose.UNCLEAR))
    return seen


def unaccounted(live: Sequence[Candidate], others: Sequence[Left]) -> list[Candidate]:
    """What is left of these documents when every other revision that surely reached the portal has taken its own."""
    left = [one for one in others if one.sure]
    remaining = []
    for one in live:
        mine = _first(left, one)
        if mine is None:
            remaining.append(one)
        else:
            left.remove(mine)
    return remaining


def _first(left: Sequence[Left], one: Candidate) -> Left | None:
    like = (one.found.total, one.found.state is FoundState.REFUSED)
    return next((each for each in left if (each.total, each.refused) == like), None)


def shown(key: InvoiceKey, found: Sequence[Found], held: Sequence[int | None]) -> list[Candidate]:
    """Each document under our number with whose it is by itself; `held`: which other submission it is by its ids."""
    belongs = [whose(one, key, bound_elsewhere=holder is not None) for one, holder in zip(found, held, strict=True)]
    return [Candidate(one, mine) for one, mine in zip(found, belongs, strict=True) if mine is not None]


def bound_elsewhere(tx: Connection, row: Row[Any], found: Sequence[Found]) -> list[int | None]:
    """For each document which other submission of ours it is, by an id that is known."""
    return [_holder(tx, row, one) for one in found]


def _holder(tx: Connection, row: Row[Any], found: Found) -> int | None:
    s = t.submission.c
    ids = [
        column == value
        for column, value in ((s.payload_id, found.refs.payload_id), (s.portal_id, found.refs.portal_id))
        if value is not None
    ]
    if not ids:
        return None
    query = sa.select(s.id).where(s.connection == row.connection, s.id != row.id, sa.or_(*ids))
    return tx.execute(query).scalars().first()


def left_by_others(tx: Connection, row: Row[Any], held: Sequence[int | None], *, earlier: bool) -> list[Left]:
    """What the other revisions of this document, or the earlier ones, left there, but for what `held` accounts for."""
    s, r, a = t.submission.c, t.revision.c, t.attempt.c
    reached = sa.exists().where(a.submission_id == s.id, a.delivered.is_distinct_from(Delivered.NO))
    refused_at_once = sa.exists().where(a.submission_id == s.id, a.outcome == Rejected.__name__)
    rows = tx.execute(
        sa.select(s.id, s.state, s.sent_at, r.total, r.currency)
        .join(t.revision, s.revision_id == r.id)
        .where(
            s.document_id == row.document_id,
            r.seq < row.seq if earlier else s.id != row.id,
            sa.or_(s.sent_at.is_not(None), reached, refused_at_once),
        )
        .order_by(s.sent_at.is_(None), s.id)  # what is known to be there takes its document first
    ).all()
    left = []
    for one in rows:
        if one.id in held:
            continue
        refused = one.state == S.REFUSED or was_refused(tx, one.id)
        sure = refused or one.sent_at is not None or one.state in _UNSETTLED
        left.append(Left(one.id, Money(one.total, one.currency), refused, sure))
    return left
