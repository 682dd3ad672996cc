"""What people say of invoices that no portal tells of: typed in, or imported from a CSV."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from hub.contract.connector import Refs, StatusEvent
from hub.contract.errors import Reason
from hub.contract.invoice import number_key
from hub.contract.status import Concerns, Stage
from hub.delivery import collect
from hub.delivery.admit import ConflictError
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.yamlsource import Place, Problem, SourceError, did_you_mean

MAX_BYTES = 5_000_000
_COLUMNS = ("number", "stage", "customer", "reason", "on")
_STAGES = tuple(stage for stage in Stage if stage is not Stage.UNKNOWN)


@dataclass(frozen=True)
class Said:
    """What a person says of one invoice."""

    number: str
    stage: Stage
    customer: str | None = None
    reason: str = ""
    on: dt.date | None = None  # the day it happened, if it is known


def current(ws: Workspace, number: str, customer: str | None) -> int:
    """The newest submission of the invoice with this number; LookupError if there is none, or more than one."""
    d, s = t.document.c, t.submission.c
    query = (
        sa.select(sa.func.max(s.id).label("id"), d.customer, d.kind)
        .join(t.document, s.document_id == d.id)
        .where(d.number_key == number_key(number), *([d.customer == customer] if customer else []))
        .group_by(d.id, d.customer, d.kind)
    )
    with ws.db.reading() as tx:
        rows = tx.execute(query).all()
    if not rows:
        raise LookupError(
            f"no invoice {number}" + (f" of {customer}" if customer else "") + " is here; see `hub status`"
        )
    if len(rows) > 1:
        shown = ", ".join(f"{row.kind} of {row.customer}" for row in rows)
        raise LookupError(f"{number} is more than one document ({shown}); name the customer")
    return int(rows[0].id)


def record(ws: Workspace, said: Said, *, by: str) -> bool:
    """Take a person's word on what became of an invoice; False if exactly this was said before.

    Raises ConflictError for an invoice that never reached its portal.
    """
    submission_id = current(ws, said.number, said.customer)
    with ws.db.reading() as tx:
        query = sa.select(t.submission.c.state, t.submission.c.sent_at).where(t.submission.c.id == submission_id)
        row = tx.execute(query).one()
    if row.sent_at is None:
        raise ConflictError(f"{said.number} is {row.state}: its portal does not have it yet, so no buyer can act on it")
    now = ws.now()
    words = f"{said.stage}|{said.reason}|{said.on or now.isoformat()}"
    event = StatusEvent(
        event_id=f"person:{hashlib.sha256(f'{submission_id}|{words}'.encode()).hexdigest()[:32]}",
        refs=Refs(number=said.number),
        concerns=Concerns.STAGE,
        word=said.stage,
        raw=str(said.stage),
        observed_at=now,
        happened_at=_midday(said.on),
        reasons=(Reason(said.reason),) if said.reason else (),
        document=f"{said.number}: {words}, said by {by}\n".encode(),
    )
    return collect.say(ws, submission_id, event, by=by)


def _midday(day: dt.date | None) -> dt.datetime | None:
    """A day that a person names has no hour; its middle is the least wrong."""
    return None if day is None else dt.datetime.combine(day, dt.time(12), dt.UTC)


def record_csv(ws: Workspace, file: Path, *, by: str) -> tuple[int, int]:
    """Import statuses from a CSV; how many were new, how many known. Nothing is taken if a row is wrong.

    Columns: number, stage, and where wanted customer, reason and on (YYYY-MM-DD). Raises SourceError with every problem
    at its line.
    """
    rows = _read(file)
    problems = []
    for line, said in rows:
        try:
            current(ws, said.number, said.customer)
        except LookupError as error:
            problems.append(Problem(Place(str(file), line, 1), str(error)))
    if problems:
        raise SourceError(problems)
    new = sum(record(ws, said, by=by) for _, said in rows)
    return new, len(rows) - new


def _read(file: Path) -> list[tuple[int, Said]]:
    content = file.read_bytes()
    start = Place(str(file), 1, 1)
    if len(content) > MAX_BYTES:
        raise SourceError([Problem(start, f"larger than {MAX_BYTES:,} bytes; split it")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError([Problem(start, "is not UTF-8; save the file as CSV UTF-8")]) from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if first.count(";") > first.count(",") else ",")
    named = [name.strip().casefold() for name in reader.fieldnames or ()]
    reader.fieldnames = named
    problems = [
        Problem(start, f"unknown column {name!r}{did_you_mean(name, _COLUMNS)}")
        for name in named
        if name not in _COLUMNS
    ]
    problems += [Problem(start, f"the column {name!r} is missing") for name in ("number", "stage") if name not in named]
    if problems:
        raise SourceError(problems)
    rows = []
    for row in reader:
        said = _said(row, Place(str(file), reader.line_num, 1), problems)
        if said is not None:
            rows.append((reader.line_num, said))
    if problems:
        raise SourceError(problems)
    return rows


def _said(row: dict[str, str], place: Place, problems: list[Problem]) -> Said | None:
    cells = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    if not any(cells.values()):
        return None
    before = len(problems)
    if not cells["number"]:
        problems.append(Problem(place, "the number is missing"))
    if cells["stage"] not in _STAGES:
        problems.append(Problem(place, f"unknown stage {cells['stage']!r}{did_you_mean(cells['stage'], _STAGES)}"))
    day = None
    try:
        day = dt.date.fromisoformat(cells["on"]) if cells["on"] else None
    except ValueError:
        problems.append(Problem(place, f"{cells['on']!r} is no day; write it as 2026-11-23"))
    if len(problems) > before:
        return None
    return Said(cells["number"], Stage(cells["stage"]), cells["customer"] or None, cells["reason"], day)
