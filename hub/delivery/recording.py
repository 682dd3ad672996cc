"""What people say of invoices that no portal tells of: typed in, or imported from a CSV."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from hub.contract.connector import Refs, StatusEvent
from hub.contract.errors import Reason
from hub.contract.invoice import Kind, number_key
from hub.contract.status import Concerns, Stage
from hub.customers_csv import csv_content, csv_records
from hub.delivery import collect
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.yamlsource import MAX_PROBLEMS, Place, Problem, SourceError, did_you_mean, shown

STAGES = tuple(str(stage) for stage in Stage if stage is not Stage.UNKNOWN)  # what a person can say
KINDS = tuple(map(str, Kind))
_WHICH = ("customer", "entity", "kind")
_COLUMNS = ("number", "stage", *_WHICH, "reason", "on")
_AHEAD = dt.timedelta(hours=14)  # so far ahead of UTC is the day somewhere


class RecordError(Exception):
    """This cannot be said of this invoice; nothing was recorded."""


@dataclass(frozen=True)
class Which:
    """One document, as people name it: by its number, and by more where that is not enough."""

    number: str
    customer: str | None = None
    entity: str | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Said:
    """What a person says of one invoice."""

    which: Which
    stage: Stage
    reason: str = ""
    on: dt.date | None = None  # the day it happened, if it is known


def current(ws: Workspace, which: Which) -> int:
    """The newest submission of the document that is meant; LookupError if there is none, or more than one."""
    return int(_newest(ws, which).id)


def _newest(ws: Workspace, which: Which) -> Row[Any]:
    d, s = t.document.c, t.submission.c
    named = {name: value for name in _WHICH if (value := getattr(which, name))}
    newest = (
        sa.select(sa.func.max(s.id))
        .join(t.document, s.document_id == d.id)
        .where(d.number_key == number_key(which.number), *(d[name] == value for name, value in named.items()))
        .group_by(d.id)
    )
    query = sa.select(s.id, s.state, s.stage, s.sent_at, *(d[name] for name in _WHICH)).join(
        t.document, s.document_id == d.id
    )
    with ws.db.reading() as tx:
        rows = tx.execute(query.where(s.id.in_(newest)).order_by(s.id)).all()
    if not rows:
        more = "".join(f", {name} {value}" for name, value in named.items())
        raise LookupError(f"there is no document {which.number}{more}; see `hub status`")
    if len(rows) > 1:
        listed = "; ".join(", ".join(f"{name} {getattr(row, name)}" for name in reversed(_WHICH)) for row in rows)
        raise LookupError(f"{which.number} is more than one document ({listed}); say which one is meant")
    return rows[0]


def _meant(ws: Workspace, said: Said) -> Row[Any]:
    """The submission that is spoken of; raises LookupError, or RecordError where nobody can say that of it."""
    row = _newest(ws, said.which)
    if row.sent_at is None:
        told = f"{said.which.number} is {row.state}: its portal does not have it, so no buyer can act on it"
        raise RecordError(f"{told}; `hub explain` says what comes first")
    if said.on is not None and said.on > (ws.now() + _AHEAD).date():
        raise RecordError(f"{said.which.number}: {said.on} lies ahead; say on which day it happened")
    return row


def record(ws: Workspace, said: Said, *, by: str) -> Stage | None:
    """Take a person's word on what became of an invoice; the stage it stands in now, which another word may hold.

    Raises LookupError or RecordError; nothing is recorded then.
    """
    _say(ws, _meant(ws, said).id, said, by=by, once=ws.now().isoformat())
    stage = _newest(ws, said.which).stage
    return None if stage is None else Stage(stage)


def _say(ws: Workspace, submission_id: int, said: Said, *, by: str, once: str) -> bool:
    """Store it as an event; False if the same was said before: of the same day, or where none is named, `once`."""
    words = f"{said.stage}|{said.reason}|{said.on or once}"
    event = StatusEvent(
        event_id=f"person:{hashlib.sha256(f'{submission_id}|{words}'.encode()).hexdigest()[:32]}",
        refs=Refs(number=said.which.number),
        concerns=Concerns.STAGE,
        word=said.stage,
        raw=str(said.stage),
        observed_at=ws.now(),
        happened_at=_midday(said.on, ws.now()),
        reasons=(Reason(said.reason),) if said.reason else (),
        document=f"{said.which.number}: {words}, said by {by}\n".encode(),
    )
    return collect.say(ws, submission_id, event, by=by)


def _midday(day: dt.date | None, now: dt.datetime) -> dt.datetime | None:
    """A day that a person names has no hour; its middle is the least wrong, and it has not happened after now."""
    return None if day is None else min(dt.datetime.combine(day, dt.time(12), dt.UTC), now)


def record_csv(ws: Workspace, file: Path, *, by: str) -> tuple[int, int]:
    """Import statuses from a CSV; how many were new, how many known. Nothing is taken if a row is wrong.

    Columns: number, stage, and where wanted customer, entity, kind, reason and on (YYYY-MM-DD). The same file again is
    known. Raises SourceError with every problem at its line.
    """
    name = str(file)
    content = csv_content(file, name)
    problems: list[Problem] = []
    taken = []
    for place, row in _rows(content, name, problems):
        said = _said(row, place, problems)
        if said is None:
            continue
        try:
            taken.append((place.line, said, int(_meant(ws, said).id)))
        except (LookupError, RecordError) as error:
            problems.append(Problem(place, str(error)))
        if len(problems) > MAX_PROBLEMS:
            break
    if problems:
        raise SourceError(problems)
    sha256 = hashlib.sha256(content).hexdigest()
    new = sum(_say(ws, meant, said, by=by, once=f"{sha256}:{line}") for line, said, meant in taken)
    return new, len(taken) - new


def _rows(content: bytes, name: str, problems: list[Problem]) -> Iterator[tuple[Place, dict[str, str]]]:
    """Each row by column with its place; raises SourceError for a header under which every row would be wrong."""
    records = csv_records(content, name)
    line, header = next(records, (1, []))
    start = Place(name, line, 1)
    columns = [cell.strip().casefold() for cell in header]
    told = [f"unknown column {shown(word)}{did_you_mean(word, _COLUMNS)}" for word in columns if word not in _COLUMNS]
    told += [f"the column {word!r} stands here twice; keep one" for word in _COLUMNS if columns.count(word) > 1]
    told += [f"the column {word!r} is missing" for word in ("number", "stage") if word not in columns]
    if told:
        raise SourceError(Problem(start, words) for words in told)
    for line, cells in records:
        place = Place(name, line, 1)
        if len(cells) != len(columns):
            counts = f"{len(cells)} cells, but the header {len(columns)}"
            problems.append(Problem(place, f"has {counts}; a text with a separator in it needs quotes"))
            continue
        yield place, dict.fromkeys(_COLUMNS, "") | dict(zip(columns, map(str.strip, cells), strict=True))


def _said(row: dict[str, str], place: Place, problems: list[Problem]) -> Said | None:
    """What a row says; None if something is wrong with it."""
    before = len(problems)
    if not row["number"]:
        problems.append(Problem(place, "the number is missing"))
    for column, words in (("stage", STAGES), ("kind", ("", *KINDS))):
        if row[column] not in words:
            problems.append(Problem(place, f"unknown {column} {shown(row[column])}{did_you_mean(row[column], words)}"))
    day = None
    try:
        day = dt.date.fromisoformat(row["on"]) if row["on"] else None
    except ValueError:
        problems.append(Problem(place, f"{shown(row['on'])} is no day; write it as 2026-11-23"))
    if len(problems) > before:
        return None
    return Said(
        Which(row["number"], row["customer"], row["entity"], row["kind"]), Stage(row["stage"]), row["reason"], day
    )
