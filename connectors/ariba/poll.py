"""Turning lists of current statuses into events: the network lists how things stand, we tell what has changed.

The cursor (JSON) holds for each buyer how far was read, and the statuses that the last poll saw, so that what the
overlap lists again is told once. The network's times carry no zone and its clock is not ours: once a day a poll reaches
further back, so that what a clock hid is told late and not never.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel, ValidationError

from connectors.ariba.listing import Row
from connectors.ariba.replies import UNKNOWN_WORD, reasons_of, word_of
from hub.contract.connector import OpenRef, Page, Refs, StatusEvent
from hub.contract.errors import PortalChanged
from hub.contract.invoice import number_key
from hub.contract.status import Concerns, Delivered, Stage

_DAILY = dt.timedelta(days=1)

Seen = dict[str, frozenset[str]]  # number as identities compare it → statuses; two documents may share a number
Changed = Callable[[str, dt.datetime, dt.datetime], Iterable[tuple[dt.datetime, list[Row]]]]


class _Buyer(BaseModel):
    """How far a buyer's changes were read."""

    until: dt.datetime
    seen: Seen = {}
    deep: dt.datetime | None = None  # when it was last read far back
    deep_seen: Seen = {}  # what was seen then


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
    daily_overlap: dt.timedelta,
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
        deep = before is None or before.deep is None or now - before.deep >= _DAILY
        back = daily_overlap if deep else overlap
        start = before.until - back if before else _first(refs, now, reach)
        earlier = before.seen if before else {}
        if before and deep:  # of what the hub knows its last word counts: it may have been another since
            earlier = {key: words for key, words in before.deep_seen.items() if key not in known} | earlier
        current: Seen = {}
        for end, rows in changed(buyer, min(start, now), now):
            events = tuple(_events(rows, known | earlier, current, (identity, buyer), end, now))
            last = end >= now.replace(microsecond=0)
            old = before or _Buyer(until=end)
            read = (now, dict(current)) if deep and last else (old.deep, old.deep_seen)
            seen = dict(current) if last else earlier | current
            state.buyers[buyer] = _Buyer(until=end, seen=seen, deep=read[0], deep_seen=read[1])
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
    rows = tuple(rows)
    unsure = _unsure(rows, before)
    for row in rows:
        key = number_key(row.number)
        told = row.status in before.get(key, ()) or row.status in current.get(key, ())
        current[key] = current.get(key, frozenset()) | {row.status}
        if told:
            continue
        word = word_of(row.status)
        if key in unsure and word.concerns is Concerns.STAGE:
            word = UNKNOWN_WORD
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


def _unsure(rows: Sequence[Row], before: Mapping[str, frozenset[str]]) -> set[str]:
    """Numbers that one answer lists at several new stages: without times, nobody knows which of them holds now."""
    stages: dict[str, set[str]] = {}
    for row in rows:
        key, word = number_key(row.number), word_of(row.status)
        if word.concerns is Concerns.STAGE and row.status not in before.get(key, ()):
            stages.setdefault(key, set()).add(word.ours)
    return {key for key, words in stages.items() if len(words - {Stage.UNKNOWN}) > 1}


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
