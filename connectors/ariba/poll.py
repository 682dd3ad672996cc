"""Turning lists of current statuses into events: the network lists how things stand, we tell what has changed.

The cursor (JSON) holds for each buyer how far was read, and the statuses that the last poll saw, so that what the
overlap lists again is told once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel, ValidationError

from connectors.ariba.listing import Row
from connectors.ariba.replies import reasons_of, word_of
from hub.contract.connector import OpenRef, Page, Refs, StatusEvent
from hub.contract.errors import PortalChanged
from hub.contract.invoice import number_key
from hub.contract.status import Delivered

Seen = dict[str, frozenset[str]]  # number as identities compare it → statuses; two documents may share a number
Changed = Callable[[str, dt.datetime, dt.datetime], Iterable[tuple[dt.datetime, list[Row]]]]


class _Buyer(BaseModel):
    """How far a buyer's changes were read."""

    until: dt.datetime
    seen: Seen = {}


class _Cursor(BaseModel):
    """How far everything was read."""

    buyers: dict[str, _Buyer] = {}


def poll(
    changed: Changed,
    cursor: str | None,
    open_refs: Sequence[OpenRef],
    *,
    identity: str,
    now: dt.datetime,
    overlap: dt.timedelta,
    reach: dt.timedelta,
) -> Iterator[Page]:
    """One poll of every buyer that something is open with; `reach` is how far back a first poll looks.

    Each page's cursor continues right behind it: whatever breaks, what was yielded before is not read again.
    """
    state = _read(cursor)
    for buyer, refs in sorted(_by_buyer(open_refs).items()):
        known: Seen = {}
        for ref in refs:
            if ref.last_raw is not None:
                key = number_key(ref.key.shown_number)
                known[key] = known.get(key, frozenset()) | {ref.last_raw}
        before = state.buyers.get(buyer)
        start = before.until - overlap if before else _first(refs, now, reach)
        earlier = before.seen if before else {}
        current: Seen = {}
        for end, rows in changed(buyer, min(start, now), now):
            events = tuple(_events(rows, known | earlier, current, (identity, buyer), end, now))
            last = end >= now.replace(microsecond=0)
            state.buyers[buyer] = _Buyer(until=end, seen=dict(current) if last else earlier | current)
            yield Page(events, state.model_dump_json())


def _events(
    rows: Iterable[Row],
    before: Mapping[str, frozenset[str]],
    current: Seen,
    where: tuple[str, str],
    end: dt.datetime,
    now: dt.datetime,
) -> Iterator[StatusEvent]:
    """An event for each row that stands otherwise than before; `current` notes every row."""
    for row in rows:
        key = number_key(row.number)
        told = row.status in before.get(key, ()) or row.status in current.get(key, ())
        current[key] = current.get(key, frozenset()) | {row.status}
        if told:
            continue
        word = word_of(row.status)
        parts = (*where, row.number, row.status, end.isoformat())
        yield StatusEvent(
            event_id=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
            refs=Refs(number=row.number, customer=where[1]),
            concerns=word.concerns,
            word=word.ours,
            raw=row.status,
            observed_at=now,
            reasons=reasons_of(row.status),
            document=row.raw,
        )


def _by_buyer(open_refs: Sequence[OpenRef]) -> dict[str, list[OpenRef]]:
    grouped: dict[str, list[OpenRef]] = {}
    for ref in open_refs:
        if ref.key.portal_customer:
            grouped.setdefault(ref.key.portal_customer, []).append(ref)
    return grouped


def _first(refs: Sequence[OpenRef], now: dt.datetime, reach: dt.timedelta) -> dt.datetime:
    attempts = [ref.key.first_attempt for ref in refs if ref.key.first_attempt]
    return min(attempts, default=now - reach) - dt.timedelta(days=1)


def _read(cursor: str | None) -> _Cursor:
    try:
        return _Cursor.model_validate_json(cursor) if cursor else _Cursor()
    except ValidationError:
        raise PortalChanged(
            "the stored status cursor is not this connector's; delete it to read anew", delivered=Delivered.NO
        ) from None
